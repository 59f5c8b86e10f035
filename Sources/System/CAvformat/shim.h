// libavformat, loaded when it is needed: it brings some two hundred libraries along, which would make every
// start of the program slower and larger, and one short-lived process of it reads films.
#pragma once
#include <dlfcn.h>
#include <libavformat/avformat.h>

/// The functions of the library that are used.
typedef struct {
    AVFormatContext *(*alloc_context)(void);
    int (*open_input)(AVFormatContext **, const char *, const AVInputFormat *, AVDictionary **);
    int (*find_stream_info)(AVFormatContext *, AVDictionary **);
    void (*close_input)(AVFormatContext **);
    AVIOContext *(*alloc_io)(unsigned char *, int, int, void *, int (*)(void *, uint8_t *, int),
                             int (*)(void *, uint8_t *, int), int64_t (*)(void *, int64_t, int));
    void (*free_io)(AVIOContext **);
    void *(*allocate)(size_t);
    void (*release)(void *);
    int (*set)(AVDictionary **, const char *, const char *, int);
    void (*set_log_level)(int);
} reel_avformat;

#define REEL_TEXT(number) #number
#define REEL_SONAME(name, major) "lib" name ".so." REEL_TEXT(major)

/// Loads the library that the headers are of. 0, or -1 where it is not installed or lacks a function.
static inline int reel_avformat_load(reel_avformat *library) {
    void *handle = dlopen(REEL_SONAME("avformat", LIBAVFORMAT_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return -1;
    *(void **)&library->alloc_context = dlsym(handle, "avformat_alloc_context");
    *(void **)&library->open_input = dlsym(handle, "avformat_open_input");
    *(void **)&library->find_stream_info = dlsym(handle, "avformat_find_stream_info");
    *(void **)&library->close_input = dlsym(handle, "avformat_close_input");
    *(void **)&library->alloc_io = dlsym(handle, "avio_alloc_context");
    *(void **)&library->free_io = dlsym(handle, "avio_context_free");
    *(void **)&library->allocate = dlsym(handle, "av_malloc");
    *(void **)&library->release = dlsym(handle, "av_free");
    *(void **)&library->set = dlsym(handle, "av_dict_set");
    *(void **)&library->set_log_level = dlsym(handle, "av_log_set_level");
    for (void **function = (void **)library; function < (void **)(library + 1); function++) {
        if (!*function) return -1;
    }
    return 0;
}

/// Refuses to open anything: a film has one file, and that is open.
static inline int reel_refuse_open(AVFormatContext *context, AVIOContext **io, const char *url, int flags,
                                   AVDictionary **options) {
    (void)context, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

// Macros that Swift cannot import.
static const int reel_av_end_of_file = AVERROR_EOF;
static const int reel_av_failure = AVERROR(EIO);
static const int reel_av_ask_size = AVSEEK_SIZE;
static const int64_t reel_av_no_time = AV_NOPTS_VALUE;
