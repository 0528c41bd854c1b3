"""Filter system calls: allow those that computing needs, and no others.

The filter allows no sockets, processes, tracing or mounts, and opens files only for reading. Other calls
fail with EPERM, or with ENOSYS if they are newer than the list.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html; the numbers are those of
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from redraw.serving.sandbox.kernel import MACHINE, prctl

# name:x86_64:aarch64; the number is -1 if the architecture does not have the call.
_ALLOWED = """
read:0:63 write:1:64 close:3:57 stat:4:-1 fstat:5:80 lstat:6:-1 poll:7:-1 lseek:8:62 mmap:9:222
mprotect:10:226 munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139
ioctl:16:29 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 access:21:-1 pipe:22:-1 select:23:-1
sched_yield:24:124 mremap:25:216 msync:26:227 mincore:27:232 madvise:28:233 dup:32:23 dup2:33:-1
pause:34:-1 nanosleep:35:101 getitimer:36:102 alarm:37:-1 setitimer:38:103 getpid:39:172 exit:60:93
wait4:61:260 uname:63:160 fcntl:72:25 flock:73:32 fsync:74:82 fdatasync:75:83 getdents:78:-1 getcwd:79:17
chdir:80:49 fchdir:81:50 readlink:89:-1 umask:95:166 gettimeofday:96:169 getrlimit:97:163 getrusage:98:165
sysinfo:99:179 times:100:153 getuid:102:174 getgid:104:176 geteuid:107:175 getegid:108:177 getppid:110:173
getpgrp:111:-1 getgroups:115:158 getresuid:118:148 getresgid:120:150 getpgid:121:155 getsid:124:156
capget:125:90 rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132
statfs:137:43 fstatfs:138:44 getpriority:140:141 sched_getparam:143:121 sched_getscheduler:145:120
sched_get_priority_max:146:125 sched_get_priority_min:147:126 mlock:149:228 munlock:150:229 prctl:157:167
arch_prctl:158:-1 gettid:186:178 readahead:187:213 time:201:-1 futex:202:98 sched_getaffinity:204:123
epoll_create:213:-1 getdents64:217:61 set_tid_address:218:96 restart_syscall:219:128 fadvise64:221:223
timer_create:222:107 timer_settime:223:110 timer_gettime:224:108 timer_getoverrun:225:109
timer_delete:226:111 clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 exit_group:231:94
epoll_wait:232:-1 epoll_ctl:233:21 get_mempolicy:239:236 newfstatat:262:79 readlinkat:267:78
faccessat:269:48 pselect6:270:72 ppoll:271:73 set_robust_list:273:99 get_robust_list:274:100
epoll_pwait:281:22 timerfd_create:283:85 eventfd:284:-1 timerfd_settime:286:86 timerfd_gettime:287:87
eventfd2:290:19 epoll_create1:291:20 dup3:292:24 pipe2:293:59 preadv:295:69 pwritev:296:70 getcpu:309:168
getrandom:318:278 membarrier:324:283 mlock2:325:284 statx:332:291 rseq:334:293 faccessat2:439:439
futex_waitv:449:449
"""
# Calls that an argument decides: its position, a mask, and the value that it must have.
_OPENING = (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0)
_CLONE_THREAD = 0x10000
_BY_FLAGS = {
    "open:2:-1": (1, *_OPENING),
    "openat:257:56": (2, *_OPENING),
    "clone:56:220": (0, _CLONE_THREAD, _CLONE_THREAD),
}
_BY_PROCESS = {"kill:62:129": False, "tgkill:234:131": False, "prlimit64:302:261": True}
_NEWEST_KNOWN = 424

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_SECCOMP, _FILTER = 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = [  # noqa: RUF012 - required by ctypes
        ("code", ctypes.c_uint16),
        ("if_so", ctypes.c_uint8),
        ("if_not", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]  # noqa: RUF012


def filter_calls() -> str:
    """Apply the filter to this thread and to those that it starts.

    Raises:
        OSError: The kernel has no such filters, or the machine's call numbers are unknown.
    """
    if MACHINE not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"the system calls of {MACHINE} are unknown")
    instructions = [_Instruction(*line) for line in _lines()]
    program = (_Instruction * len(instructions))(*instructions)
    prctl(_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(program), program)))
    return "allow-list"


def _lines() -> Iterator[tuple[int, int, int, int]]:
    refused = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield (_LOAD, 0, 0, _ARCHITECTURE)
    yield (_EQUAL, 1, 0, _ARCHITECTURES[MACHINE])
    yield refused
    yield (_LOAD, 0, 0, _NUMBER)
    for number in map(_number, _ALLOWED.split()):
        if number >= 0:
            yield (_EQUAL, 0, 1, number)
            yield (_RETURN, 0, 0, _ALLOW)
    for name, (argument, mask, value) in _BY_FLAGS.items():
        yield from _if_called(name, [*_load(argument), (_AND, 0, 0, mask), (_EQUAL, 0, 1, value)])
    for name, own in _BY_PROCESS.items():
        either = [(_EQUAL, 1, 0, 0)] if own else []
        yield from _if_called(name, [*_load(0), *either, (_EQUAL, 0, 1, os.getpid())])
    yield (_AT_LEAST, 0, 1, _NEWEST_KNOWN)
    yield (_RETURN, 0, 0, _FAIL | errno.ENOSYS)
    yield refused


def _number(entry: str) -> int:
    return int(entry.split(":")[1 + list(_ARCHITECTURES).index(MACHINE)])


def _load(argument: int) -> list[tuple[int, int, int, int]]:
    """Load the lower half of an argument; all of these have 32 bits."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]


def _if_called(entry: str, test: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Allow a call if the test passes; the last instruction of a test that fails skips one instruction."""
    number = _number(entry)
    if number < 0:
        return
    yield (_EQUAL, 0, len(test) + 2, number)
    yield from test
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
