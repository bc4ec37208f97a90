#include "../../../reference-server/transport/reply_writer.hpp"
#include "catch.hpp"

#include <roundhouse/error.hpp>

using namespace roundhouse::server;

TEST_CASE("each status that an error has is sent with a reason phrase") {
    for (const auto& row : roundhouse::error_table) {
        CAPTURE(row.name, row.http_status);
        CHECK_FALSE(reason_of(row.http_status).empty());
    }
    CHECK(reason_of(299).empty());
}
