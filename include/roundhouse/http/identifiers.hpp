#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/request.hpp>

#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// Reads the user_id from a segment of a path. The result refers to `storage` if the segment is
/// percent-encoded, and to the segment itself otherwise. Fails with `invalid_request`.
[[nodiscard]] inline result<std::string_view> user_id_of(std::string_view segment,
                                                         std::string& storage) {
    std::string_view text = segment;
    if (segment.find('%') != std::string_view::npos) {
        storage.clear();
        if (!percent_decode(segment, plus_sign::itself, storage))
            return fail(errc::invalid_request, "user_id: a % in a path must be followed by two "
                                               "hexadecimal digits. Write %25 for a % itself.");
        text = storage;
    }
    if (const auto complaint = core::names::check_user_id(text))
        return fail(errc::invalid_request, "user_id: " + *complaint);
    return text;
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
