// How this process was started. Everything here is found out before any library does anything.
#pragma once

/// How many arguments main got, the program's own name included.
int reel_argument_count(void);

/// One of them; NULL beyond the last one.
const char *reel_argument(int number);

/// Whether a descriptor from 0 to 2 was closed when the program was started.
int reel_was_closed(int descriptor);

/// The path that the program was executed by, as the kernel was told it; NULL where it does not say.
const char *reel_executed_path(void);
