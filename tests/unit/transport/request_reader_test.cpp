#include "../../../reference-server/transport/request_reader.hpp"
#include "catch.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace roundhouse::server;

namespace {

using progress = request_reader::progress;

/// What a reader finds in some bytes: `METHOD target [body]` of each request, and at the end `more`
/// if a request has begun, or the fault.
std::string found_in(std::string_view bytes, std::size_t piece = std::string_view::npos,
                     const listener_limits& limits = {}) {
    request_reader reader(limits);
    std::string out;
    while (!bytes.empty()) {
        const std::string input(bytes.substr(0, piece)); // a copy, so that the end is a real one
        bytes.remove_prefix(input.size());
        std::string_view left = input;
        while (!left.empty()) {
            switch (reader.read(left)) {
            case progress::more: break;
            case progress::refused:
                return out + "refused " + std::to_string(static_cast<int>(reader.fault()));
            case progress::whole:
                out.append(reader.text(reader.head().method)).append(" ");
                out.append(reader.text(reader.head().target)).append(" [");
                out.append(reader.body()).append("]");
                out.append(reader.body_too_large() ? " too large; " : "; ");
                reader.begin_next();
            }
        }
    }
    if (reader.in_head() || reader.in_body()) out += "more";
    return out;
}

/// A reader with a request that is whole.
class whole_request {
public:
    explicit whole_request(std::string bytes, const listener_limits& limits = {})
        : limits_(limits), bytes_(std::move(bytes)) {
        std::string_view input = bytes_;
        REQUIRE(reader.read(input) == progress::whole);
    }

private:
    const listener_limits limits_; // In this order: the reader refers to both.
    const std::string bytes_;

public:
    request_reader reader{limits_};
};

std::string refused(request_fault fault) {
    return "refused " + std::to_string(static_cast<int>(fault));
}

std::string with_fields(std::string_view fields, std::string_view version = "HTTP/1.1") {
    return "POST /x " + std::string(version) + "\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

std::string chunked(std::string_view body) {
    return with_fields("Transfer-Encoding: chunked\r\n") + std::string(body);
}

} // namespace

TEST_CASE("requests are found however their bytes are cut") {
    const std::string bytes = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"
                              "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
                              "\r\n" // one empty line before a request is ignored
                              "DELETE /c HTTP/1.0\r\n\r\n" +
                              chunked("3\r\nabc\r\n02;x=\"y\"\r\nde\r\n0\r\nT: x\r\n\r\n") +
                              "GET /end HTTP/1.1\r\nHost:\t h \r\n\r\nGET";
    const std::string wanted =
        "GET /a?b []; POST /b [body]; DELETE /c []; POST /x [abcde]; GET /end []; more";
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        CAPTURE(piece);
        CHECK(found_in(bytes, piece) == wanted);
    }
}

TEST_CASE("what is not HTTP/1.1 to the letter is refused") {
    const auto get = [](std::string_view line) {
        return std::string(line) + "\r\nHost: h\r\n\r\n";
    };
    const std::vector<std::string> invalid{
        "nonsense\r\n\r\n",
        std::string("\0\1\2\r\n\r\n", 7),
        "\x16\x03\x01\x02\x01",
        get("GET /health HXXXX1.1"),
        get(std::string_view("GET /health HTTP/1\0.1", 21)),
        get("GET /health HTTP/1.1 "),
        get("GET /health HTTP/11"),
        get("GET /health http/1.1"),
        get("GET  /health HTTP/1.1"),
        get("GET /health  HTTP/1.1"),
        get("GET\t/health HTTP/1.1"),
        get(" GET /health HTTP/1.1"),
        get("GET /health"),
        get("GET /he\x01lth HTTP/1.1"),
        get("GET /he\x7Flth HTTP/1.1"),
        get("GET /h\xC3\xA9 HTTP/1.1"),
        get("GET /a#b HTTP/1.1"),
        get("GET health HTTP/1.1"),
        get("GET * HTTP/1.1"),
        get("GET ftp://h/ HTTP/1.1"),
        get("GET http:///x HTTP/1.1"),
        get("GET http://user@h/x HTTP/1.1"),
        get("GET http://h:80:81/x HTTP/1.1"),
        get("GET http://[::1/x HTTP/1.1"),
        get("CONNECT h HTTP/1.1"),
        get("CONNECT h: HTTP/1.1"),
        get("CONNECT :80 HTTP/1.1"),
        get("G@T / HTTP/1.1"),
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\rX",
        "GET / HTTP/1.1\r\rHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n",
        with_fields("Name\r\n"),
        with_fields(": value\r\n"),
        with_fields("Name : value\r\n"),
        with_fields(" Name: value\r\n"),
        with_fields("A: b\r\n folded\r\n"),
        with_fields("A: b\r\n\tfolded\r\n"),
        with_fields("N\xC3\xA9: value\r\n"),
        with_fields("A: b\x01\r\n"),
        with_fields("A: b\x7F\r\n"),
        with_fields(std::string_view("A: b\0c\r\n", 8)),
        with_fields("A: b\rc\r\n"),
        with_fields("Content-Length: -1\r\n"),
        with_fields("Content-Length: +1\r\n"),
        with_fields("Content-Length: 1 2\r\n"),
        with_fields("Content-Length: 0x1\r\n"),
        with_fields("Content-Length:\r\n"),
        with_fields("Content-Length: 1, 1\r\n"),
        with_fields("Content-Length: 1\r\nContent-Length: 1\r\n"),
        with_fields("Content-Length: 99999999999999999999999\r\n"),
        with_fields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        with_fields("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        with_fields("Transfer-Encoding: gzip\r\n"),
        with_fields("Transfer-Encoding: gzip, chunked\r\n"),
        with_fields("Transfer-Encoding: chunked, identity\r\n"),
        with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        with_fields("Transfer-Encoding : chunked\r\n"),
        with_fields("Transfer-Encoding:\r\n"),
        with_fields("Transfer-Encoding: chunked\r\n", "HTTP/1.0"),
        chunked("xyz\r\n"),
        chunked("\r\n"),
        chunked("-1\r\n"),
        chunked("0x1\r\na\r\n"),
        chunked("1 \r\na\r\n"),
        chunked(" 1\r\na\r\n"),
        chunked("1\na\r\n"),
        chunked("1\r\nab\r\n"),
        chunked("1\r\na\n"),
        chunked("1;a\x01\r\na\r\n"),
        chunked("1;\r\na\r\n"),
        chunked("1;a \r\na\r\n"),
        chunked("1\t;a\r\na\r\n"),
        chunked("1;a=\r\na\r\n"),
        chunked("1;=b\r\na\r\n"),
        chunked("1;a=\"b\r\na\r\n"),
        chunked("1;a=\"b\"c\r\na\r\n"),
        chunked("1;a=b c\r\na\r\n"),
        chunked("1;a;;b\r\na\r\n"),
        chunked("1 a\r\na\r\n"),
        chunked("1\rX"),
        chunked("ffffffffffffffff\r\n"),
        chunked("0000000000000001\r\na\r\n"),
        chunked("0\r\nnotrailer\r\n\r\n"),
        chunked("0\r\n folded: x\r\n\r\n"),
        chunked("0\r\nA: b\n\r\n"),
        chunked("0\r\ncontent-length: 3\r\n\r\n"),
        chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    };
    for (const auto& bytes : invalid) {
        CAPTURE(bytes);
        CHECK(found_in(bytes) == refused(request_fault::not_http));
        CHECK(found_in(bytes, 1) == refused(request_fault::not_http));
    }
}

TEST_CASE("what is HTTP and not served here is refused with a reason") {
    const std::vector<std::pair<std::string, request_fault>> invalid{
        {"GET / HTTP/9.9\r\nHost: h\r\n\r\n", request_fault::wrong_version},
        {"PRI * HTTP/2.0\r\n\r\n", request_fault::wrong_version},
        {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", request_fault::unknown_method},
        {"get / HTTP/1.1\r\nHost: h\r\n\r\n", request_fault::unknown_method},
        {"GET / HTTP/1.1\r\n\r\n", request_fault::wrong_host},
        {with_fields("Host: h\r\n"), request_fault::wrong_host},
        {with_fields("Expect: a-miracle\r\n"), request_fault::unknown_expectation},
    };
    for (const auto& [bytes, fault] : invalid) {
        CAPTURE(bytes);
        CHECK(found_in(bytes) == refused(fault));
        CHECK_FALSE(message_of(fault).empty());
    }
}

TEST_CASE("a host that is none is refused (RFC 9110 §7.2, RFC 3986 §3.2.2)") {
    const auto request = [](std::string_view host) {
        return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
    };
    for (const auto* const host :
         {"a b",       "a/b",          "a@b",        "a:80:81",     "a:http",
          "a:-1",      "a]",           "a%zz",       "::1",         "[",
          "[]",        "[::1",         "::1]",       "[::1]x",      "[::1]:x",
          "[[::1]]",   "[h]",          "[junk]",     "[192.0.2.7]", "[1::2::3]",
          "[12345::]", "[::1%25eth0]", "[::1%eth0]", "[:::]",       "[1:2:3:4:5:6:7]",
          "[v1]",      "[v1.]",        "[v.a]",      "[vx.a]",      "[v1.a%20]"}) {
        CAPTURE(host);
        CHECK(found_in(request(host)) == refused(request_fault::wrong_host));
    }
    for (const auto* const host : {"[::1]", "[::]:80", "[2001:DB8::a]", "[::ffff:192.0.2.7]:8000",
                                   "[1:2:3:4:5:6:7:8]:", "[v1.fe80::a]:80", "[V1F.a_b!]"}) {
        CAPTURE(host);
        CHECK(found_in(request(host)) == found_in(request("h")));
    }
}

TEST_CASE("of a refused request the method and the fields before the fault are known") {
    const auto known_of = [](std::string_view bytes, std::size_t piece) {
        const listener_limits limits{};
        request_reader reader(limits);
        std::string arrived;
        while (!bytes.empty()) {
            arrived = bytes.substr(0, piece);
            bytes.remove_prefix(arrived.size());
            std::string_view input = arrived;
            if (reader.read(input) == progress::refused) break;
        }
        CHECK(reader.fault() != request_fault::none);
        return std::string(reader.text(reader.head().method)) + ' ' +
               std::string(reader.text(reader.head().request_id));
    };
    const std::string id = "X-Request-Id: mine\r\n";
    const std::vector<std::pair<std::string, std::string>> refused_requests{
        {"HEAD / HTTP/1.1\r\n" + id + "Host: a b\r\n\r\n", "HEAD mine"},
        {"HEAD / HTTP/1.1\r\n" + id + "\r\n", "HEAD mine"}, // no host
        {"GET / HTTP/1.1\r\nHost: a b\r\n" + id + "\r\n", "GET "},
        {"HEAD / HTTP/9.9\r\n" + id + "Host: h\r\n\r\n", "HEAD "},
        {"HEAD /" + std::string(100'000, 'x') + " HTTP/1.1\r\n" + id + "\r\n", "HEAD "},
        {"HEAD / HTTP/1.1\r\n" + id + "n: " + std::string(100'000, 'v') + "\r\n", "HEAD mine"}};
    for (const auto& [bytes, known] : refused_requests) {
        CAPTURE(bytes.substr(0, 80));
        CHECK(known_of(bytes, std::string::npos) == known);
        CHECK(known_of(bytes, 1) == known);
    }
}

TEST_CASE("hosts with and without ports, and the extensions of chunks, are taken") {
    for (const auto* const host :
         {"", "h", "h:", "h:80", "192.0.2.7:8000", "[::1]", "[2001:db8::1]:80", "a%20b", "a_b"}) {
        CAPTURE(host);
        CHECK(found_in("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n") ==
              found_in("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    for (const auto* const extensions :
         {"", ";a", " ; a", ";a=b", ";a = b", ";a;b=c;d", ";a=\"b ;\\\"c\"", ";a=\"\""}) {
        CAPTURE(extensions);
        CHECK(found_in(chunked("1" + std::string(extensions) + "\r\na\r\n0\r\n\r\n")) ==
              found_in(chunked("1\r\na\r\n0\r\n\r\n")));
    }
}

TEST_CASE("limits hold to the byte, and what exceeds them is refused before it is whole") {
    listener_limits limits;
    limits.max_target_bytes = 100;
    limits.max_field_name_bytes = 20;
    limits.max_field_value_bytes = 50;
    limits.max_field_count = 5;
    limits.max_head_bytes = 300;
    const auto found = [&](const std::string& bytes) {
        return found_in(bytes, std::string_view::npos, limits);
    };
    const auto get = [](const std::string& target) {
        return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    };
    const auto too_long = refused(request_fault::fields_too_long);
    const std::string longest = "/" + std::string(99, 'a');
    CHECK(found(get(longest)) == "GET " + longest + " []; ");
    CHECK(found(get(longest + "a")) == refused(request_fault::target_too_long));
    CHECK(found("GET /" + std::string(200, 'a')) == refused(request_fault::target_too_long));
    CHECK(found(std::string(1000, 'A')) == refused(request_fault::not_http));

    CHECK(found(with_fields(std::string(20, 'n') + ": " + std::string(50, 'v') + "\r\n")) ==
          "POST /x []; ");
    CHECK(found(with_fields(std::string(21, 'n') + ": v\r\n")) == too_long);
    CHECK(found(with_fields("n: " + std::string(51, 'v') + "\r\n")) == too_long);
    CHECK(found("GET / HTTP/1.1\r\nHost: h\r\nn: " + std::string(100, 'v')) == too_long);

    CHECK(found(with_fields("a: b\r\na: b\r\na: b\r\na: b\r\n")) == "POST /x []; ");
    CHECK(found(with_fields("a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n")) == too_long);

    limits.max_field_count = 100;
    std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
    while (head.size() < 280) head += "a: b\r\n";
    CHECK(found(head + "c:" + std::string(298 - head.size() - 4, 'd') + "\r\n\r\n") ==
          "GET / []; ");
    CHECK(found(head + "c:" + std::string(299 - head.size() - 4, 'd') + "\r\n\r\n") == too_long);
}

TEST_CASE("a body over the limit is read to its end, and its request is whole") {
    listener_limits limits;
    limits.max_body_bytes = 10;
    limits.max_dropped_bytes = 100;
    for (const std::size_t piece : {1U, 7U, 1000U}) {
        CAPTURE(piece);
        const auto found = [&](const std::string& bytes) { return found_in(bytes, piece, limits); };
        CHECK(found(with_fields("Content-Length: 10\r\n") + "0123456789") ==
              "POST /x [0123456789]; ");
        CHECK(found(with_fields("Content-Length: 11\r\n") + "0123456789a" + with_fields("")) ==
              "POST /x [0123456789] too large; POST /x []; ");
        CHECK(found(chunked("6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n") + with_fields("")) ==
              "POST /x [0123456789] too large; POST /x []; ");
    }
}

TEST_CASE("a body that is far too long is not read") {
    listener_limits limits;
    limits.max_body_bytes = 10;
    limits.max_dropped_bytes = 100;
    const whole_request announced(with_fields("Content-Length: 101\r\n"), limits);
    CHECK(announced.reader.body_too_large());
    CHECK(announced.reader.body_abandoned());
    const whole_request endless(chunked("ffffff\r\n" + std::string(200, 'a')), limits);
    CHECK(endless.reader.body_abandoned());
}

TEST_CASE("a client that expects 100-continue is known before it sends its body") {
    const listener_limits limits;
    request_reader reader(limits);
    const auto head = with_fields("Content-Length: 4\r\nExpect: 100-Continue\r\n");
    std::string_view input = head;
    REQUIRE(reader.read(input) == progress::more);
    CHECK(reader.awaits_continue());
    input = "bo";
    REQUIRE(reader.read(input) == progress::more);
    CHECK_FALSE(reader.awaits_continue());
    input = "dy";
    REQUIRE(reader.read(input) == progress::whole);
    CHECK(reader.body() == "body");

    const whole_request refused_at_once(
        with_fields("Content-Length: 99999999\r\nExpect: 100-continue\r\n"));
    CHECK(refused_at_once.reader.body_too_large());
}

TEST_CASE("the fields that the server uses are found, without the blanks around them") {
    const whole_request whole(
        with_fields("x-platform-KEY: \t pk \t\r\nX-Admin-Key:ak\r\nX-Request-Id: r\r\n"
                    "Authorization: Bearer \xC3\xA9\r\nConnection: Upgrade, close\r\n"));
    const auto& reader = whole.reader;
    const auto& head = reader.head();
    CHECK(reader.text(head.platform_key) == "pk");
    CHECK(reader.text(head.admin_key) == "ak");
    CHECK(reader.text(head.request_id) == "r");
    CHECK(reader.text(head.authorization) == "Bearer \xC3\xA9");
    CHECK_FALSE(head.keep_alive);
}

TEST_CASE("an idempotency key is found, and is empty if it is sent more than once") {
    const auto key_in = [](const std::string& fields) {
        const whole_request whole(with_fields(fields));
        const auto& head = whole.reader.head();
        if (!head.has_idempotency_key) return std::string("none");
        return std::string(whole.reader.text(head.idempotency_key));
    };
    CHECK(key_in("X-Forwarded-For: a\r\n") == "none");
    CHECK(key_in("idempotency-KEY: \t\"a b\" \r\n") == "\"a b\"");
    CHECK(key_in("Idempotency-Key:\r\n").empty());
    CHECK(key_in("Idempotency-Key: a\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\n").empty());
}

TEST_CASE("a key that is sent more than once counts as missing") {
    const whole_request whole(
        with_fields("X-Platform-Key: a\r\nX-Platform-Key: a\r\nX-Platform-Key: a\r\n"
                    "X-Admin-Key: b\r\nx-admin-key: c\r\n"));
    const auto& reader = whole.reader;
    CHECK(reader.text(reader.head().platform_key).empty());
    CHECK(reader.text(reader.head().admin_key).empty());
}

TEST_CASE("HTTP/1.0 ends the connection unless the client keeps it alive") {
    const auto keeps_alive = [](const std::string& bytes) {
        return whole_request(bytes).reader.head().keep_alive;
    };
    CHECK_FALSE(keeps_alive("GET / HTTP/1.0\r\n\r\n"));
    CHECK(keeps_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    CHECK_FALSE(keeps_alive("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n"));
    CHECK(keeps_alive(with_fields("")));
    CHECK_FALSE(keeps_alive(with_fields("Connection: close\r\n")));
}

TEST_CASE("all forms of a target are passed on") {
    for (const std::string line :
         {"OPTIONS * HTTP/1.1", "CONNECT h:80 HTTP/1.1", "GET http://h/x?y HTTP/1.1",
          "GET HTTPS://h:8000 HTTP/1.1", "GET /a%2Fb?c=/d?e HTTP/1.1"}) {
        const auto target = line.substr(line.find(' ') + 1, line.rfind(' ') - line.find(' ') - 1);
        CHECK(found_in(line + "\r\nHost: h\r\n\r\n") ==
              line.substr(0, line.find(' ')) + " " + target + " []; ");
    }
}
