#!/usr/bin/env python3
"""clock.py N COMMAND…: the median time of N runs of a command in seconds, the time to start any process at all taken off."""

import subprocess, sys, time
from statistics import median


def seconds(command):
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


times = int(sys.argv[1])
print(median(seconds(sys.argv[2:]) for _ in range(times)) - median(seconds(["true"]) for _ in range(times)))
