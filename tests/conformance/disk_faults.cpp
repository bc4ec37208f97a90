#include "disk_faults.hpp"

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace roundhouse_tests {

namespace {

std::atomic<bool> planned = false;
std::atomic<int> calls_left = 0;
std::atomic<int> failed = 0;
int error_code = 0;
bool all_fail = false;

/// Whether the calling function must fail. Sets errno then.
bool fails() {
    if (!planned.load() || calls_left-- > 0) return false;
    if (failed > 0 && !all_fail) return false;
    ++failed;
    errno = error_code;
    return true;
}

} // namespace

disk_faults::disk_faults(int calls, int code, bool permanent) {
    error_code = code;
    all_fail = permanent;
    calls_left = calls;
    failed = 0;
    planned = true;
}

disk_faults::~disk_faults() { planned = false; }

bool disk_faults::fired() const { return failed > 0; }

} // namespace roundhouse_tests

// A definition in the program replaces the C library's, also for LMDB.
extern "C" {

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
    return roundhouse_tests::fails() ? -1 : ::syscall(SYS_pwrite64, file, data, size, at);
}

ssize_t writev(int file, const iovec* data, int count) {
    return roundhouse_tests::fails() ? -1 : ::syscall(SYS_writev, file, data, count);
}

int fdatasync(int file) {
    return roundhouse_tests::fails() ? -1 : static_cast<int>(::syscall(SYS_fdatasync, file));
}

int fsync(int file) {
    return roundhouse_tests::fails() ? -1 : static_cast<int>(::syscall(SYS_fsync, file));
}
}
