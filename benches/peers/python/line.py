"""Says "ready", then for each number that it reads makes so many steps, and prints how long they took in nanoseconds."""
import sys
import time


def serve(step):
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter_ns()
        for _ in range(int(line)):
            step()
        print(time.perf_counter_ns() - started, flush=True)
