// What Swift cannot do by itself on Linux: fork and exec (`fork` is not importable, and nothing but
// async-signal-safe calls may run in the child of a threaded process), signal handlers, and epoll, whose
// header Swift's own module of the C library lacks.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/// What a child process is started with. All pointers are the caller's and only read during the call.
typedef struct {
    const char *path;         // program, a path (PATH is not searched)
    char *const *arguments;   // NULL-terminated, the program's own name first
    char *const *environment; // NULL-terminated
    const char *folder;       // working folder, or NULL to stay in the parent's
    int output;               // becomes stdout and stderr; -1 keeps the parent's
    const int *kept;          // descriptors that stay open under their own numbers
    int kept_count;
    int death_signal;         // sent to the child when the forking thread ends; 0 for none
} reel_child;

/// Everything above stderr is closed by exec. Kernels before 5.11 don't know the flag: walk instead.
static inline void reel_close_on_exec_from(int first) {
    const unsigned cloexec = 4; // CLOSE_RANGE_CLOEXEC
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0U, cloexec) == 0) return;
#endif
    long limit = sysconf(_SC_OPEN_MAX);
    if (limit < 0 || limit > 65536) limit = 65536;
    for (int fd = first; fd < limit; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/// The child's side: answers only when something failed, with errno set.
static inline void reel_become(const reel_child *child, pid_t parent) {
    struct sigaction standard = {0};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < 65; number++) sigaction(number, &standard, NULL);
    if (setpgid(0, 0) != 0) return;
    if (child->death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, child->death_signal) != 0) return;
        // The parent may have ended before the request was made: then no signal ever comes.
        if (getppid() != parent) _exit(127);
    }
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, 0) < 0) return;
    if (child->output >= 0 && (dup2(child->output, 1) < 0 || dup2(child->output, 2) < 0)) return;
    reel_close_on_exec_from(3);
    for (int i = 0; i < child->kept_count; i++) {
        if (fcntl(child->kept[i], F_SETFD, 0) != 0) return;
    }
    if (child->folder && chdir(child->folder) != 0) return;
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0) return;
    execve(child->path, child->arguments, child->environment);
}

/// Names the calling thread; the kernel keeps the first 15 bytes.
static inline void reel_name_thread(const char *name) {
    prctl(PR_SET_NAME, name);
}

/// A pipe that no exec inherits. 0, or -1 with errno set.
static inline int reel_pipe(int ends[2]) {
    return (int)syscall(SYS_pipe2, ends, O_CLOEXEC);
}

/// Forks and execs. Returns the child's pid, or -1 with `*failure` the errno of what failed on
/// either side, exec included: success means that the program is running.
static inline pid_t reel_spawn(const reel_child *child, int *failure) {
    int report[2];
    if (reel_pipe(report) != 0) {
        *failure = errno;
        return -1;
    }
    // No signal may run one of our handlers in the child before they are reset there.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        reel_become(child, parent);
        int code = errno;
        ssize_t written = write(report[1], &code, sizeof code);
        _exit(written == sizeof code ? 127 : 126);
    }
    int code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid > 0) {
        ssize_t got;
        do { got = read(report[0], &code, sizeof code); } while (got < 0 && errno == EINTR);
        if (got == 0) {
            close(report[0]);
            return pid;
        }
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    close(report[0]);
    *failure = code;
    return -1;
}

/// Blocks until the child has ended but leaves it to be reaped, so that its pid stays its own.
/// Returns 0 or an errno.
static inline int reel_await_end(pid_t pid) {
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0) {
        if (errno != EINTR) return errno;
    }
    return 0;
}

// Signals. The handler does two things that are safe there: tell a pipe, and leave at once when it is
// the second time. A terminal that is closed may say so more than once: that counts once. State is per object file: only SignalWatcher.swift may call this.
static volatile int reel_signal_pipe = -1;
static volatile sig_atomic_t reel_signal_count = 0;

static inline void reel_on_signal(int number) {
    int saved = errno;
    if (number == SIGHUP && reel_signal_count > 0) return;
    if (reel_signal_count++ > 0) _exit(130);
    unsigned char byte = (unsigned char)number;
    if (write(reel_signal_pipe, &byte, 1) != 1) _exit(130);
    errno = saved;
}

/// SIGINT, SIGTERM and, unless it is ignored already (nohup), SIGHUP write their number to `pipe_end`; the
/// second of them ends the process with status 130. SIGPIPE is ignored. Returns 0 or an errno.
static inline int reel_watch_signals(int pipe_end) {
    reel_signal_pipe = pipe_end;
    reel_signal_count = 0;
    struct sigaction watched = {0};
    watched.sa_handler = reel_on_signal;
    watched.sa_flags = SA_RESTART;
    if (sigaction(SIGINT, &watched, NULL) != 0 || sigaction(SIGTERM, &watched, NULL) != 0) return errno;
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) != 0) return errno;
    if (before.sa_handler != SIG_IGN && sigaction(SIGHUP, &watched, NULL) != 0) return errno;
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    struct sigaction ignored = {0};
    ignored.sa_handler = SIG_IGN;
    return sigaction(SIGPIPE, &ignored, NULL) == 0 ? 0 : errno;
}
