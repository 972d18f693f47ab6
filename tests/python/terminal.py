"""Runs a command with a terminal as its standard error, and prints what the terminal received. SIGINT is passed on.

    terminal.py COMMAND ARGUMENT…
"""
import os, pty, signal, subprocess, sys

master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave)
signal.signal(signal.SIGINT, lambda *_: child.send_signal(signal.SIGINT))
os.close(slave)
while True:
    try:
        data = os.read(master, 65536)
    except OSError:  # the last end of the terminal is closed
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
sys.exit(child.wait())
