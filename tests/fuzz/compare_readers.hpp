#pragma once

#include "../../reference-server/transport/characters.hpp"
#include "../../reference-server/transport/request_reader.hpp"

#include <http_parser.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Reads the same bytes with the server's reader and with http-parser, which is less strict: every
/// request that the server takes http-parser must take too, and in the same way.
namespace roundhouse_tests {

struct read_request {
    std::string method;
    std::string target;
    std::string body;

    friend bool operator==(const read_request&, const read_request&) = default;
};

struct reading {
    std::vector<read_request> requests;
    bool refused = false;
    /// A body was not read to its end, or not kept: nothing is known of what follows.
    bool cut = false;
};

/// Reads bytes with the server's reader, in pieces of at most `piece` bytes.
inline reading read_with_server(std::string_view bytes, std::size_t piece,
                                const roundhouse::server::listener_limits& limits) {
    using roundhouse::server::request_reader;
    reading out;
    request_reader reader(limits);
    while (!bytes.empty()) {
        // A copy of its own, so that a sanitizer finds what is read beyond it.
        const std::vector<char> copy(
            bytes.begin(),
            bytes.begin() + static_cast<std::ptrdiff_t>(std::min(piece, bytes.size())));
        bytes.remove_prefix(copy.size());
        std::string_view input(copy.data(), copy.size());
        while (!input.empty()) {
            const auto progress = reader.read(input);
            if (progress == request_reader::progress::more) continue;
            out.refused = progress == request_reader::progress::refused;
            if (out.refused) return out;
            out.cut = reader.body_too_large();
            if (out.cut) return out;
            const auto& head = reader.head();
            out.requests.push_back({std::string(reader.text(head.method)),
                                    std::string(reader.text(head.target)),
                                    std::string(reader.body())});
            reader.begin_next();
        }
    }
    return out;
}

inline reading read_with_http_parser(std::string_view bytes) {
    reading out;
    read_request current;
    struct state {
        reading& out;
        read_request& current;
    } both{out, current};
    http_parser_settings callbacks;
    http_parser_settings_init(&callbacks);
    callbacks.on_message_begin = [](http_parser* p) {
        static_cast<state*>(p->data)->current = {};
        return 0;
    };
    callbacks.on_url = [](http_parser* p, const char* at, std::size_t size) {
        static_cast<state*>(p->data)->current.target.append(at, size);
        return 0;
    };
    callbacks.on_headers_complete = [](http_parser* p) {
        p->upgrade = 0; // as the server, which offers no upgrade
        return 0;
    };
    callbacks.on_body = [](http_parser* p, const char* at, std::size_t size) {
        static_cast<state*>(p->data)->current.body.append(at, size);
        return 0;
    };
    callbacks.on_message_complete = [](http_parser* p) {
        auto& found = *static_cast<state*>(p->data);
        found.current.method = http_method_str(static_cast<http_method>(p->method));
        found.out.requests.push_back(found.current);
        return 0;
    };
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &both;
    http_parser_execute(&parser, &callbacks, bytes.data(), bytes.size());
    out.refused = HTTP_PARSER_ERRNO(&parser) != HPE_OK;
    return out;
}

/// Whether a field's name goes on after `Transfer-Encoding`. http-parser 2.9 takes it for that field
/// without a value, and refuses it.
inline bool has_longer_transfer_encoding(std::string_view bytes) {
    constexpr std::string_view name = "transfer-encoding";
    for (std::size_t at = 0; at + name.size() < bytes.size(); ++at)
        if (roundhouse::server::same_but_case(bytes.substr(at, name.size()), name) &&
            bytes[at + name.size()] != ':')
            return true;
    return false;
}

/// Returns how the readers disagree about some bytes, or an empty text.
inline std::string disagreement(std::string_view bytes, std::size_t piece) {
    roundhouse::server::listener_limits limits;
    limits.max_body_bytes = 4096;
    limits.max_dropped_bytes = 16'384;
    const auto whole = read_with_server(bytes, bytes.size(), limits);
    const auto pieces = read_with_server(bytes, std::max<std::size_t>(piece, 1), limits);
    if (whole.requests != pieces.requests || whole.cut != pieces.cut ||
        whole.refused != pieces.refused)
        return "the same bytes in pieces of " + std::to_string(piece) + " are read in another way";
    if (has_longer_transfer_encoding(bytes)) return {};
    const auto other = read_with_http_parser(bytes);
    if (other.requests.size() < whole.requests.size())
        return "http-parser takes only " + std::to_string(other.requests.size()) + " of " +
               std::to_string(whole.requests.size()) + " requests";
    for (std::size_t i = 0; i < whole.requests.size(); ++i)
        if (whole.requests[i] != other.requests[i])
            return "http-parser reads request " + std::to_string(i) + " in another way";
    return {};
}

} // namespace roundhouse_tests
