"""Codes split into planes of four bits, of which processors look up sums; compiled for x86.

The distance of a code is a sum over its fours of bits, each of which has 16 values. So the 16 terms
of a query, as bytes, fit into one register, in which the processor looks up a term for each byte of
another register by one instruction. This is the idea of Quick ADC (André, Kermarrec, Le Scouarnec:
Cache locality is not enough: high-performance nearest neighbor search with product quantization
fast scan, VLDB 2015), for codes of bits. The codes are split into planes on the way, a stretch at a
time; many queries share the work.
"""

# pyright: reportCallIssue=false, reportIndexIssue=false

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from .words_numba import popcount

_INSTRUCTIONS = {  # of processors with a feature: their name, and the bytes of a register
    "+avx512bw": ("llvm.x86.avx512.pshuf.b.512", 64),
    "+avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "+ssse3": ("llvm.x86.ssse3.pshuf.b.128", 16),
}
_ACCUMULATORS = 8  # registers in which sums are formed side by side
_PLANES = 1 << 14  # bytes of planes that a batch of queries passes over
FEW = 16  # queries for which splitting the codes does not pay


def _find_instruction(features):
    return next((_INSTRUCTIONS[f] for f in _INSTRUCTIONS if f in features), (None, 16))


_FEATURES = config.CPU_FEATURES
_FEATURES = set((get_host_cpu_features() if _FEATURES is None else _FEATURES).split(","))
_NAME, WIDTH = _find_instruction(_FEATURES)
LOOKS_UP = _NAME is not None  # whether the processor has such an instruction
# Whether that is faster than counting the bits of the words of a register, for Hamming distances.
FASTER_THAN_COUNTS = WIDTH > 16 and "+avx512vpopcntdq" not in _FEATURES
GROUP = _ACCUMULATORS * WIDTH  # codes whose sums are formed side by side
_LENGTH = GROUP // 8  # words of a group's plane


@intrinsic
def _any_below(typing, planes, tables, n_planes, n_parts, limit, masks):
    """Write which codes of a group have a sum below a limit, as bits; return nonzero if any.

    `planes`, `tables` and `masks` are addresses: of the group's planes, of the query's terms, and
    of ``GROUP // 8`` bytes. Of two parts of the planes, the mean of both sums counts, rounded down.
    """

    def generate(context, builder, signature, arguments):
        planes, tables, n_planes, n_parts, limit, masks = arguments
        byte, place, address = ir.IntType(8), ir.IntType(32), ir.IntType(64)
        vector, bits = ir.VectorType(byte, WIDTH), ir.IntType(WIDTH)

        def function(name):
            kind = ir.FunctionType(vector, [vector, vector])
            return cgutils.get_or_insert_function(builder.module, kind, name)

        def at(start, offset, kind):
            start = builder.add(start, offset)
            return builder.inttoptr(start, kind.as_pointer())

        def repeat(value):  # a short vector, to the width of a register
            places = [i % value.type.count for i in range(WIDTH)]
            places = ir.Constant(ir.VectorType(place, WIDTH), places)
            return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)

        look_up, add = function(_NAME), function(f"llvm.uadd.sat.v{WIDTH}i8")
        offsets = [ir.Constant(address, i * WIDTH) for i in range(_ACCUMULATORS)]
        totals, means = ([cgutils.alloca_once(builder, vector) for _ in offsets] for _ in range(2))
        one, length = ir.Constant(vector, [1] * WIDTH), builder.udiv(n_planes, n_parts)
        with cgutils.for_range(builder, n_parts, intp=address) as part:
            for total in totals:
                builder.store(ir.Constant(vector, None), total)
            with cgutils.for_range(builder, length, intp=address) as loop:
                plane = builder.add(builder.mul(part.index, length), loop.index)
                start = builder.mul(plane, ir.Constant(address, 16))
                sums = repeat(builder.load(at(tables, start, ir.VectorType(byte, 16)), align=16))
                start = builder.mul(plane, ir.Constant(address, GROUP))
                for total, offset in zip(totals, offsets, strict=True):
                    values = at(planes, builder.add(start, offset), vector)
                    found = builder.call(look_up, [sums, builder.load(values, align=WIDTH)])
                    builder.store(builder.call(add, [builder.load(total), found]), total)
            first = builder.icmp_unsigned("==", part.index, ir.Constant(address, 0))
            for total, mean in zip(totals, means, strict=True):
                x, y = builder.load(total), builder.load(mean)
                half = builder.lshr(builder.xor(x, y), one)
                both = builder.add(builder.and_(x, y), half)  # (x + y) // 2
                builder.store(builder.select(first, x, both), mean)
        single = ir.Constant(ir.VectorType(byte, 1), ir.Undefined)
        limits = repeat(builder.insert_element(single, limit, ir.Constant(place, 0)))
        union = ir.Constant(bits, 0)
        for number, mean in enumerate(means):
            below = builder.icmp_unsigned("<", builder.load(mean), limits)
            below = builder.bitcast(below, bits)
            offset = ir.Constant(address, number * WIDTH // 8)
            builder.store(below, at(masks, offset, bits), align=1)
            union = builder.or_(union, below)
        return union if WIDTH == 64 else builder.zext(union, address)

    return types.uint64(*[types.int64] * 4, types.uint8, types.int64), generate


@njit(inline="always")
def _swap(x, y, shift, mask):
    """Exchange the high part of each field of one word and the low part of another's."""
    return (x & mask) | ((y & mask) << shift), ((x >> shift) & mask) | (y & ~mask)


@njit
def _transpose(words):
    """Make byte `j` of row `k` byte `k` of row `j`, in each column of eight rows of words."""
    far, near, beside = np.uint64(32), np.uint64(16), np.uint64(8)
    halves, quarters = np.uint64(0x00000000FFFFFFFF), np.uint64(0x0000FFFF0000FFFF)
    eighths = np.uint64(0x00FF00FF00FF00FF)
    for i in range(np.uint64(words.shape[1])):
        a, b, c, d = words[0, i], words[1, i], words[2, i], words[3, i]
        e, f, g, h = words[4, i], words[5, i], words[6, i], words[7, i]
        a, e = _swap(a, e, far, halves)
        b, f = _swap(b, f, far, halves)
        c, g = _swap(c, g, far, halves)
        d, h = _swap(d, h, far, halves)
        a, c = _swap(a, c, near, quarters)
        b, d = _swap(b, d, near, quarters)
        e, g = _swap(e, g, near, quarters)
        f, h = _swap(f, h, near, quarters)
        a, b = _swap(a, b, beside, eighths)
        c, d = _swap(c, d, beside, eighths)
        e, f = _swap(e, f, beside, eighths)
        g, h = _swap(g, h, beside, eighths)
        words[0, i], words[1, i], words[2, i], words[3, i] = a, b, c, d
        words[4, i], words[5, i], words[6, i], words[7, i] = e, f, g, h


@njit
def split(gallery, start, stop, planes):
    """Write the planes of codes by group, padded with zeros.

    In a plane of a group, byte ``8 * i + j`` is of the code ``_LENGTH * j + i``.
    """
    n_bytes, length, low = np.uint64(gallery.itemsize), np.uint64(_LENGTH), np.uint64(15)
    low |= low << np.uint64(8)
    low |= low << np.uint64(16)
    low |= low << np.uint64(32)
    words = np.empty((8, _LENGTH), np.uint64)
    for group in range(np.uint64((stop - start + GROUP - 1) // GROUP)):
        first = np.uint64(start) + group * np.uint64(GROUP)
        size = np.uint64(stop) - first
        for w in range(np.uint64(len(gallery))):
            if size >= np.uint64(GROUP):
                for j in range(np.uint64(8)):
                    for i in range(length):
                        words[j, i] = gallery[w, first + j * length + i]
            else:
                words[:] = 0
                for i in range(size):
                    words[i // length, i % length] = gallery[w, first + i]
            _transpose(words)
            for j in range(n_bytes):
                plane = np.uint64(2) * (w * n_bytes + j)
                for i in range(length):
                    planes[group, plane, i] = words[j, i] & low
                    planes[group, plane + np.uint64(1), i] = words[j, i] >> np.uint64(4) & low


@njit
def new_planes(n_groups, n_planes):
    """Return memory for the planes of groups, (n_groups, n_planes, words of a plane)."""
    # From an address that is a multiple of 64, since other registers take twice as long to load.
    size = n_groups * n_planes * _LENGTH
    memory = np.empty(size + 8, np.uint64)
    skip = -np.int64(memory.ctypes.data) % 64 // 8
    return memory[skip : skip + size].reshape((n_groups, n_planes, _LENGTH))


@njit
def new_masks():
    """Return memory for the bits of a group's codes."""
    return np.empty(GROUP // 64, np.uint64)


@njit(inline="always")
def below(planes, group, tables, query, n_parts, limit, part, masks, rows):
    """Write the rows of a group's codes whose sum is below a limit, ascending; return how many.

    `part` is the start and the stop of the codes in the planes, and the mask of those that count.
    Of two parts of the planes, the mean of both sums counts, rounded down.
    """
    n_below, n_planes, (start, stop, keep) = 0, planes.shape[1], part
    at_planes = np.int64(planes.ctypes.data) + group * n_planes * GROUP
    at_tables = np.int64(tables.ctypes.data) + query * n_planes * 16
    at_masks = np.int64(masks.ctypes.data)
    if _any_below(at_planes, at_tables, n_planes, n_parts, limit, at_masks):
        for j in range(8):
            for number in range(len(masks)):
                mask = masks[number] >> np.uint64(j) & np.uint64(0x0101010101010101)
                while mask:
                    lowest = np.int64(popcount(~mask & (mask - np.uint64(1))))
                    mask &= mask - np.uint64(1)
                    row = start + group * GROUP + j * _LENGTH + 8 * number + lowest // 8
                    if row < stop and (not len(keep) or keep[row]):
                        rows[n_below] = row
                        n_below += 1
    return n_below


def count_groups(n_bits):
    """Return how many groups of codes a batch of queries passes over at a time."""
    return max(1, _PLANES // (GROUP * n_bits // 4))
