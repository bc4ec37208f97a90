#include "secrets.hpp"

#include "option_table.hpp"
#include "sanitizers.hpp"

#include <roundhouse/backend/subprocess/descriptor.hpp>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>

namespace roundhouse::server {

namespace {

constexpr std::size_t locked_bytes = std::size_t{64} * 1024;
constexpr std::size_t least_locked_block = 32;
constexpr std::size_t most_secret_bytes = std::size_t{64} * 1024;

/// The leak checker of AddressSanitizer attaches to the process as a debugger does, and takes for
/// leaked what only OpenSSL's secure memory refers to.
#if ROUNDHOUSE_ADDRESS_SANITIZER
constexpr bool is_leak_checked = true;
#else
constexpr bool is_leak_checked = false;
#endif

void wipe_variable(const char* name) noexcept {
    char* const value = std::getenv(name); // the process's own memory, which /proc shows
    if (value == nullptr) return;
    OPENSSL_cleanse(value, std::strlen(value));
    ::unsetenv(name);
}

void wipe_arguments(std::span<char* const> arguments, std::string_view flag) noexcept {
    const auto hide = [](char* text) { std::memset(text, '*', std::strlen(text)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word(arguments[i]);
        if (!word.starts_with(flag)) continue;
        if (word.size() > flag.size() && word[flag.size()] == '=')
            hide(arguments[i] + flag.size() + 1);
        else if (word == flag && i + 1 < arguments.size()) hide(arguments[i + 1]);
    }
}

unexpected cannot_read(const std::string& path, int number) {
    return fail(errc::invalid_request,
                "cannot read " + path + ": " + std::generic_category().message(number));
}

} // namespace

void guard_process() {
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = 0; // the hard limit stays, for engines
    ::setrlimit(RLIMIT_CORE, &core);
    if (is_leak_checked) return;
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);                        // fails for no valid reason
    CRYPTO_secure_malloc_init(locked_bytes, least_locked_block); // else ordinary memory is used
}

void wipe_given_secrets(std::span<char* const> arguments, environment& copy) noexcept {
    for (const auto& row : option_table()) {
        if (!row.secret) continue;
        wipe_variable(row.name.data()); // a literal
        wipe_arguments(arguments, flag_of(row.name));
        if (const auto known = copy.find(row.name); known != copy.end())
            OPENSSL_cleanse(known->second.data(), known->second.size());
    }
}

result<std::string> read_secret_file(const std::string& path) {
    const detail::subprocess::descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) return cannot_read(path, errno);
    std::string text;
    text.reserve(most_secret_bytes); // so that no copy is left behind
    for (;;) {
        const auto before = text.size();
        if (before == most_secret_bytes)
            return fail(errc::invalid_request, path + " is over 64 KiB, so it holds no key");
        text.resize(most_secret_bytes);
        const auto got = ::read(file.get(), text.data() + before, text.size() - before);
        const int number = errno;
        text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0 && number != EINTR) return cannot_read(path, number);
        if (got == 0) break;
    }
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) return fail(errc::invalid_request, path + " is empty");
    return text;
}

std::optional<std::string> warning_of_readers(const std::string& path) {
    struct stat status {};
    const bool readable = ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
                          (status.st_mode & S_IROTH) != 0;
    if (!readable) return std::nullopt;
    return "every user may read " + path + ": chmod 600 keeps them out";
}

} // namespace roundhouse::server
