// What a process that reads a stranger's bytes may still do, by the kernel's own filter (seccomp).
#pragma once
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define REEL_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define REEL_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

/// From here on this process can read and write what it has open, use memory, look at the clock, and end:
/// it opens nothing, connects to nothing, starts nothing and signals nobody; asked for anything else the
/// kernel says EPERM. 0, or an errno where the kernel does not take the filter.
static inline int reel_confine(void) {
#ifndef REEL_AUDIT_ARCH
    return ENOSYS;
#else
    static const int allowed[] = {
        __NR_read,           __NR_pread64,       __NR_write,         __NR_lseek,
        __NR_close,          __NR_mmap,          __NR_munmap,        __NR_mprotect,
        __NR_mremap,         __NR_madvise,       __NR_brk,           __NR_futex,
        __NR_sched_yield,    __NR_clock_gettime, __NR_gettimeofday,
        __NR_getrandom,      __NR_getpid,        __NR_gettid,        __NR_sched_getaffinity,
        __NR_rt_sigprocmask, __NR_rt_sigaction,  __NR_rt_sigreturn,  __NR_sigaltstack,
        __NR_exit,           __NR_exit_group,
    };
    enum { count = sizeof allowed / sizeof *allowed };
    struct sock_filter filter[4 + 2 * count + 1];
    int at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REEL_AUDIT_ARCH, 1, 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = {.len = (unsigned short)at, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
#endif
}
