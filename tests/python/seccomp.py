"""Runs a command under the system calls that a seccomp profile of containers allows: seccomp.py PROFILE WITHOUT COMMAND…

WITHOUT is the beginning of names that are taken from the list, or `-`. Exit code 77: this machine has no table of
system calls, or is no x86-64.
"""
import ctypes
import errno
import json
import os
import platform
import re
import struct
import sys

TABLE = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def main() -> None:
    profile, without, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    if platform.machine() != "x86_64" or not os.path.exists(TABLE):
        sys.exit(77)
    with open(TABLE, encoding="ascii") as file:
        numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", file.read()))
    with open(profile, encoding="ascii") as file:
        rules = json.load(file)
    refused = REFUSE | rules["defaultErrnoRet"]
    assert rules["defaultAction"] == "SCMP_ACT_ERRNO" and rules["defaultErrnoRet"] == errno.EPERM
    program = [instruction(LOAD, 0)]
    for rule in rules["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]:
            if name in numbers and (without == "-" or not name.startswith(without)):
                program += [instruction(EQUAL, int(numbers[name]), 0, 1), instruction(RETURN, ALLOW)]
    program.append(instruction(RETURN, refused))
    text = ctypes.create_string_buffer(b"".join(program), 8 * len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


main()
