#pragma once

#include <roundhouse/error.hpp>

#include <string>

namespace roundhouse::server {

/// The folder of the server's data, held against a second server: two on one folder would end each
/// other's engines.
class store_folder {
public:
    /// Makes the folder with mode 0700 if it is not there. A failure's message names
    /// ORCH_STORE_PATH.
    [[nodiscard]] static result<store_folder> open(const std::string& path);

    ~store_folder();
    store_folder(store_folder&& other) noexcept;
    store_folder& operator=(store_folder&&) = delete;

    /// Whether others than its owner may look into it.
    [[nodiscard]] bool open_to_others() const noexcept { return open_to_others_; }

private:
    store_folder(int lock, bool open_to_others) noexcept
        : lock_(lock), open_to_others_(open_to_others) {}

    int lock_; ///< The lock goes with this descriptor, however the process ends.
    bool open_to_others_;
};

/// A name for the installation whose engines a store in memory forgets: made at the first start on
/// the folder, and found there at the next, so that what is left of them can be ended.
[[nodiscard]] result<std::string> installation_id_of(const std::string& folder);

} // namespace roundhouse::server
