#pragma once

/// Reads and writes JSON.
#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/http/json_reader.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

using json::append_json_string;
using json::append_time;
using json::append_uuid;
using json::as_utf8;
using json::json_writer;

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
