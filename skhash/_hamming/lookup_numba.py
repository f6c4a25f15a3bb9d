"""Exact search by asymmetric distance for many queries, compiled for x86; see `asymmetric_numba`.

The bound of a distance is a sum of bytes, one for each four bits of a code: the weights of those of
the four that differ, in steps so large that the query's k-th distance so far is 254 steps or less.
Each byte is rounded down, by half a step on average, which is too much for many bytes. So of longer
codes the halves are summed apart, in steps of nearly half the size, and the bound is the mean.
Four bits have 16 values, so the 16 sums of a query fit into one register, in which the processor
looks up a sum for each byte of another register by one instruction. This is the idea of Quick ADC
(André, Kermarrec, Le Scouarnec: Cache locality is not enough: high-performance nearest neighbor
search with product quantization fast scan, VLDB 2015), for the sums of an asymmetric distance.
The codes are split into planes of four bits on the way, a stretch at a time; many queries share the
work.
"""

# pyright: reportCallIssue=false, reportIndexIssue=false

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from .words_numba import call, compiled, popcount, read_only, replace

_INSTRUCTIONS = {  # of processors with a feature: their name, and the bytes of a register
    "+avx512bw": ("llvm.x86.avx512.pshuf.b.512", 64),
    "+avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "+ssse3": ("llvm.x86.ssse3.pshuf.b.128", 16),
}
_ACCUMULATORS = 4  # registers in which sums are formed side by side
_PLANES = 1 << 15  # bytes of planes that a batch of queries passes over
_BATCH = 256  # queries in a batch
_FEW = 16  # queries for which splitting the codes does not pay
_HALVED = 128  # bits of a code, above which its halves are summed apart
_STEPS = 254, 420  # in a query's k-th distance so far, for one sum or two
_LONG = 512  # bits of a code, above which the sums in steps are too coarse a bound


def _find_instruction():
    features = config.CPU_FEATURES
    features = set((get_host_cpu_features() if features is None else features).split(","))
    return next((_INSTRUCTIONS[f] for f in _INSTRUCTIONS if f in features), (None, 16))


_NAME, _WIDTH = _find_instruction()
_GROUP = _ACCUMULATORS * _WIDTH  # codes whose bounds are formed side by side
_LENGTH = _GROUP // 8  # words of a group's plane


def suits(weights):
    """Say whether the search is possible on this processor and fast for these queries."""
    n_queries, n_bits = weights.shape
    return _NAME is not None and n_queries >= _FEW and n_bits <= _LONG


@intrinsic
def _below(typing, planes, tables, n_planes, n_parts, limit, masks):
    """Write which codes of a group have a bound below a limit, as bits; return nonzero if any.

    `planes`, `tables` and `masks` are addresses: of the group's planes, of the query's sums in
    steps, and of ``_GROUP // 8`` bytes. The bound is the mean of the `n_parts` parts of the planes,
    one or two, rounded down.
    """

    def generate(context, builder, signature, arguments):
        planes, tables, n_planes, n_parts, limit, masks = arguments
        byte, place, address = ir.IntType(8), ir.IntType(32), ir.IntType(64)
        vector, bits = ir.VectorType(byte, _WIDTH), ir.IntType(_WIDTH)

        def function(name):
            kind = ir.FunctionType(vector, [vector, vector])
            return cgutils.get_or_insert_function(builder.module, kind, name)

        def at(start, offset, kind):
            start = builder.add(start, offset)
            return builder.inttoptr(start, kind.as_pointer())

        def repeat(value):  # a short vector, to the width of a register
            places = [i % value.type.count for i in range(_WIDTH)]
            places = ir.Constant(ir.VectorType(place, _WIDTH), places)
            return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)

        look_up, add = function(_NAME), function(f"llvm.uadd.sat.v{_WIDTH}i8")
        offsets = [ir.Constant(address, i * _WIDTH) for i in range(_ACCUMULATORS)]
        totals, means = ([cgutils.alloca_once(builder, vector) for _ in offsets] for _ in range(2))
        one, length = ir.Constant(vector, [1] * _WIDTH), builder.udiv(n_planes, n_parts)
        with cgutils.for_range(builder, n_parts, intp=address) as part:
            for total in totals:
                builder.store(ir.Constant(vector, None), total)
            with cgutils.for_range(builder, length, intp=address) as loop:
                plane = builder.add(builder.mul(part.index, length), loop.index)
                start = builder.mul(plane, ir.Constant(address, 16))
                sums = repeat(builder.load(at(tables, start, ir.VectorType(byte, 16)), align=16))
                start = builder.mul(plane, ir.Constant(address, _GROUP))
                for total, offset in zip(totals, offsets, strict=True):
                    values = at(planes, builder.add(start, offset), vector)
                    found = builder.call(look_up, [sums, builder.load(values, align=_WIDTH)])
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
            offset = ir.Constant(address, number * _WIDTH // 8)
            builder.store(below, at(masks, offset, bits), align=1)
            union = builder.or_(union, below)
        return union if _WIDTH == 64 else builder.zext(union, address)

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
def _split(gallery, start, stop, planes):
    """Write the planes of codes by group, padded with zeros.

    In a plane of a group, byte ``8 * i + j`` is of the code ``_LENGTH * j + i``.
    """
    n_bytes, length, low = np.uint64(gallery.itemsize), np.uint64(_LENGTH), np.uint64(15)
    low |= low << np.uint64(8)
    low |= low << np.uint64(16)
    low |= low << np.uint64(32)
    words = np.empty((8, _LENGTH), np.uint64)
    for group in range(np.uint64((stop - start + _GROUP - 1) // _GROUP)):
        first = np.uint64(start) + group * np.uint64(_GROUP)
        size = np.uint64(stop) - first
        for w in range(np.uint64(len(gallery))):
            if size >= np.uint64(_GROUP):
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
def _fill(queries, weights, n, limit, n_parts, sums, tables):
    """Write the sums of a query's weights by the value of four bits, and the same in steps.

    Returns the step of the bound, which is `n_parts` steps of the tables. A limit, or the largest
    distance, is at most 254 of them; of two parts at most 210, so that a byte also holds the sum of
    a part that is larger than the mean.
    """
    total, n_bits = np.int64(0), 8 * queries.itemsize
    for bit in range(weights.shape[1]):
        total += weights[n, bit]
    step = min(limit, total) // _STEPS[n_parts - 1] + 1
    for m in range(len(sums)):
        own = np.int64(queries[n, 4 * m // n_bits] >> np.uint64(4 * m % n_bits)) & 15
        for value in range(16):
            differing, partial = value ^ own, np.int64(0)
            for bit in range(4):
                partial += (differing >> bit & 1) * np.int64(weights[n, 4 * m + bit])
            sums[m, value], tables[m, value] = partial, min(partial // step, 255)
    return n_parts * step


@njit(inline="always")
def _limit(distance, step):
    """Return what the bound of a code is below if its distance is at most `distance`."""
    return np.uint8(min(distance // step + 1, 255))


@njit
def _measure(sums, q, gallery, row):
    """Return the distance of a code."""
    total, n_planes = np.int64(0), 2 * gallery.itemsize
    for w in range(len(gallery)):
        word = np.uint64(gallery[w, row])
        for m in range(w * n_planes, (w + 1) * n_planes):
            total += np.int64(sums[q, m, word & np.uint64(15)])
            word >>= np.uint64(4)
    return total


@compiled
def _nearest(queries, weights, gallery, begin, end, keep, n_groups, batch, found, rows):
    n_queries, n_planes, size = len(queries), weights.shape[1] // 4, n_groups * _GROUP
    n_parts = 1 if weights.shape[1] <= _HALVED else 2
    # From an address that is a multiple of 64, since other registers take twice as long to load.
    memory = np.empty(size * n_planes // 8 + 8, np.uint64)
    skip = -np.int64(memory.ctypes.data) % 64 // 8
    planes = memory[skip : skip + size * n_planes // 8].reshape((n_groups, n_planes, _LENGTH))
    sums = np.empty((batch, n_planes, 16), np.uint32)
    tables = np.empty((batch, n_planes, 16), np.uint8)
    steps, masks = np.empty(batch, np.int64), np.empty(_GROUP // 64, np.uint64)
    at_planes, at_tables = np.int64(planes.ctypes.data), np.int64(tables.ctypes.data)
    at_masks = np.int64(masks.ctypes.data)
    for first in range(0, n_queries, batch):
        last = min(n_queries, first + batch)
        for n in range(first, last):
            q = n - first
            steps[q] = _fill(queries, weights, n, found[n, 0], n_parts, sums[q], tables[q])
        for start in range(begin, end, size):
            stop = min(end, start + size)
            if len(keep) and not keep[start:stop].any():
                continue
            _split(gallery, start, stop, planes)
            for n in range(first, last):
                q = n - first
                table, plane = at_tables + q * n_planes * 16, at_planes
                limit = _limit(found[n, 0], steps[q])
                for group in range(start, stop, _GROUP):
                    if _below(plane, table, n_planes, n_parts, limit, at_masks):
                        for number in range(len(masks)):
                            mask = masks[number]
                            while mask:
                                lowest = popcount(~mask & (mask - np.uint64(1)))
                                mask &= mask - np.uint64(1)
                                place = 64 * number + np.int64(lowest)
                                row = group + place % 8 * _LENGTH + place // 8
                                if row >= stop or (len(keep) and not keep[row]):
                                    continue
                                d = _measure(sums, q, gallery, row)
                                if d < found[n, 0] or (d == found[n, 0] and row < rows[n, 0]):
                                    replace(found[n], rows[n], d, row)
                                    limit = _limit(found[n, 0], steps[q])
                    plane += n_planes * _GROUP


def pass_over(queries, weights, gallery, part, keep, found, rows, verbose):
    """Put the codes that are nearer than what is found into heaps of the nearest."""
    n_groups = max(1, _PLANES // (_GROUP * weights.shape[1] // 4))
    sizes = n_groups, min(_BATCH, len(weights))
    sides = read_only(queries.T, weights, gallery)
    place = part.start, part.stop, *read_only(keep)
    call(_nearest, *sides, *place, *sizes, found, rows, verbose=verbose)
