"""Runs a command with a terminal as its standard error, and prints what the terminal received.

    terminal.py COMMAND ARGUMENT…
"""
import os, pty, subprocess, sys

master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave)
os.close(slave)
while True:
    try:
        data = os.read(master, 65536)
    except OSError:  # the last end of the terminal is closed
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(child.wait())
