#include "store_folder.hpp"

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace roundhouse::server {

namespace {

unexpected refuse(const std::string& path, const std::string& cause) {
    return fail(errc::invalid_request, "ORCH_STORE_PATH: " + path + " " + cause);
}

std::string message_of(int code) { return std::generic_category().message(code); }

} // namespace

result<store_folder> store_folder::open(const std::string& path) {
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
    // If the folders above could not be created, this fails too.
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return refuse(path, "cannot be made (" + message_of(errno) +
                                "); name a folder that this user may write");
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
        return refuse(path, "is not a folder");
    if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0)
        return refuse(path, "cannot be used (" + message_of(errno) +
                                "); name a folder that this user may write");
    const int lock = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                            0600);
    if (lock < 0) return refuse(path, "cannot be written to (" + message_of(errno) + ")");
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
        const auto cause = errno == EWOULDBLOCK ? "is in use by another roundhouse-server; stop "
                                                  "that one, or give each its own folder"
                                                : "cannot be locked (" + message_of(errno) + ")";
        ::close(lock);
        return refuse(path, cause);
    }
    // Engines with users of their own have to get through it.
    constexpr auto look_or_change = S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
    return store_folder(lock, (found.st_mode & look_or_change) != 0);
}

store_folder::~store_folder() {
    if (lock_ >= 0) ::close(lock_);
}

store_folder::store_folder(store_folder&& other) noexcept
    : lock_(std::exchange(other.lock_, -1)), open_to_others_(other.open_to_others_) {}

result<std::string> installation_id_of(const std::string& folder) {
    const auto path = folder + "/instance";
    std::string found;
    if (std::getline(std::ifstream(path), found) && parse_uuid(found)) {
        ::chmod(path.c_str(), 0600); // 0.1.0 made it readable to all who may enter the folder
        return found;
    }
    const auto id = to_string(crypto::make_uuid(crypto::system_entropy));
    const auto draft = path + ".new";
    if (const auto written = detail::subprocess::write_anew(draft, id + '\n'); !written)
        return refuse(folder, "cannot be written to (" + written.error().message + ")");
    if (::rename(draft.c_str(), path.c_str()) != 0)
        return refuse(folder, "cannot be written to (" + message_of(errno) + ")");
    return id;
}

} // namespace roundhouse::server
