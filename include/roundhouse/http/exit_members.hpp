#pragma once

#include <roundhouse/exit_status.hpp>
#include <roundhouse/http/json.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http::detail {

/// Writes how a workload ended, as members of an object; what is not known is null.
inline void write_exit(json_writer& json, const exit_status& exit) {
    json.member("exit_code", exit.exit_code).name("signal");
    if (exit.signal) json.value(int{*exit.signal});
    else json.value(nullptr);
    json.member("out_of_memory", exit.out_of_memory);
}

} // namespace http::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
