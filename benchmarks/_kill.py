"""Kill a process in the middle of its work: what the `kill_*` scripts share."""

import argparse
import os
import random
import signal
import time
import traceback


def parser_of(doc, kills=200):
    """Make a parser of the options that all these scripts have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--seed", type=int, default=0)
    return parser


class Moments:
    """Moments to kill at, drawn by a seed.

    Parameters
    ----------
    seed : int
        The seed.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)

    def kill(self, work, earliest, latest):
        """Run a function in a child process, and kill that (SIGKILL) at a random moment.

        Parameters
        ----------
        work : callable
            What the child does: it gets a function that reports bytes to this process. The child
            ends when it returns.
        earliest, latest : float
            Seconds between which the child is killed.

        Returns
        -------
        bytes
            What the child had reported.
        """
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            status = 1  # a child never goes on with the work of its parent
            try:
                os.close(reader)
                work(lambda content: os.write(writer, content))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writer)
        time.sleep(self.random.uniform(earliest, latest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("the child failed by itself; its error is above")
        with os.fdopen(reader, "rb") as file:
            return file.read()
