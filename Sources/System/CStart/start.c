#define _GNU_SOURCE
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static int argument_count;
static char **arguments;
static unsigned closed;

// A descriptor from 0 to 2 that is closed would be given to the next file or socket that is opened: log
// lines would go into it, and what comes out of it would be taken for standard input. /dev/null takes the
// place, the wrong way round, so that reading and writing fail as they would have.
//
// System calls are made directly: sanitizers wrap the C library's functions, and are not there yet.
static void hold_standard_descriptors(void) {
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (syscall(SYS_fcntl, descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
        closed |= 1u << descriptor;
        int way = descriptor == 0 ? O_WRONLY : O_RDONLY;
        long opened = syscall(SYS_openat, AT_FDCWD, "/dev/null", way);
        // Without /dev any folder does that is only a place.
        if (opened < 0) opened = syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY);
        // Nobody can be told.
        if (opened != descriptor) _exit(126);
    }
}

// libmongoc keeps counters in a file of /dev/shm for a tool of its own, from the moment it is loaded. The file
// of a process that is killed would stay for good, and the next process with its number would complain of it.
// So the name goes before the library is loaded and after, and the memory stays.
//
// No sanitizer looks at it: theirs may not be there yet.
__attribute__((no_sanitize("address", "thread"))) static void drop_counters_name(void) {
    static const char start[] = "/dev/shm/mongoc-";
    char path[sizeof start + 3 * sizeof(long)], digits[3 * sizeof(long)];
    size_t length = 0, count = 0;
    while (start[length]) path[length] = start[length], length++;
    for (long number = syscall(SYS_getpid); number > 0; number /= 10) digits[count++] = (char)('0' + number % 10);
    while (count > 0) path[length++] = digits[--count];
    path[length] = 0;
    syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

__attribute__((constructor)) static void after_libraries(void) { drop_counters_name(); }

static void begin(int count, char **vector, char **environment) {
    (void)environment;
    argument_count = count;
    arguments = vector;
    hold_standard_descriptors();
    drop_counters_name();
}

// The C library calls these before the constructors of all libraries, with main's arguments. Swift reads its
// own from /proc, which may not be there.
__attribute__((section(".preinit_array"), used)) static void (*const at_start)(int, char **, char **) = begin;

int reel_argument_count(void) { return argument_count; }

const char *reel_argument(int number) {
    return number >= 0 && number < argument_count ? arguments[number] : NULL;
}

int reel_was_closed(int descriptor) {
    return descriptor >= 0 && descriptor <= 2 && (closed >> descriptor & 1u) != 0;
}

const char *reel_executed_path(void) { return (const char *)getauxval(AT_EXECFN); }
