#include "api_harness.hpp"
#include "catch.hpp"

#include <string>
#include <string_view>
#include <vector>

using roundhouse::errc;
using roundhouse::fail;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

constexpr std::string_view listed_product =
    R"({"product_id":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","slug":"demo",)"
    R"("display_name":"The Demo","created_at":"2023-11-14T22:13:20.123Z",)"
    R"("deleting_since":null,"policy":{"max_engines":3})";

std::string whole_product() {
    return std::string(listed_product) +
           R"(,"defaults":{},"engines":{"total":2,"by_status":{"provisioning":0,"running":2,"sleeping":0,)"
           R"("stopped":0,"failed":0,"destroying":0}},"keys":[)"
           R"({"key_id":1,"created_at":"2023-11-14T22:13:20.123Z","last_used_at":null,)"
           R"("expires_at":"2023-11-14T23:13:20.123Z"},)"
           R"({"key_id":2,"created_at":"2023-11-14T22:13:20.123Z",)"
           R"("last_used_at":"2023-11-14T22:14:20.123Z","expires_at":null}]})";
}

} // namespace

TEST_CASE("a product is shown with its policy, its keys and the numbers of its engines") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/products/demo")) == whole_product());
    CHECK(api.ask("GET", "/products/AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee").status == 200);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"describe_product demo",
                                   "describe_product aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"});
}

TEST_CASE("the policy of a product is read as it was given") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/products/demo/policy")) == R"({"policy":{"max_engines":3}})");
    CHECK(api.fake().calls == std::vector<std::string>{"describe_product demo"});
}

TEST_CASE("products are listed without their keys and the numbers of their engines") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/products")) ==
          R"({"products":[)" + std::string(listed_product) + R"(}],"total":1,"next":null})");
    CHECK(api.fake().products_asked->limit == 100);
    CHECK(api.fake().products_asked->after.empty());
    api.fake().products->next = "demo";
    api.fake().products->total = 7;
    CHECK_THAT(api.ask("GET", "/products?limit=1&after=acme").body,
               Contains(R"("total":7,"next":"demo"})"));
    CHECK(api.fake().products_asked->limit == 1);
    CHECK(api.fake().products_asked->after == "acme");
}

TEST_CASE("a page of products that is none is a 400 that names the parameter") {
    api_harness api;
    for (const std::string_view query :
         {"limit=0", "limit=1001", "limit=x", "after=Demo", "after=a%20b",
          "after=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"}) {
        INFO(query);
        const auto reply = api.ask("GET", "/products?" + std::string(query));
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK_THAT(reply.body, Contains(std::string(query.substr(0, query.find('='))) + ": "));
    }
    CHECK(api.fake().calls.empty());
    CHECK(api.ask("GET", "/products?after=").status == 200); // as if it were missing
}

TEST_CASE("a patch of a product changes what it has, and answers with the product") {
    api_harness api;
    CHECK(json_of(api.ask("PATCH", "/products/demo", R"({"display_name":"The Demo"})")) ==
          whole_product());
    CHECK(api.fake().changes_given->display_name == "The Demo");
    for (const std::string_view nothing : {"", "{}"}) {
        CHECK(json_of(api.ask("PATCH", "/products/demo", nothing)) == whole_product());
        CHECK_FALSE(api.fake().changes_given->display_name);
    }
}

TEST_CASE("a patch of a product with a display name that is none is a 400 that names it") {
    api_harness api;
    for (const std::string_view body : {R"({"display_name":null})", R"({"display_name":""})",
                                        R"({"display_name":5})", R"({"display_name":"a\nb"})"}) {
        INFO(body);
        const auto reply = api.ask("PATCH", "/products/demo", body);
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK_THAT(reply.body, Contains(R"("message":"display_name: )"));
    }
    CHECK(told(api.ask("PATCH", "/products/demo", "[]")) == "400 INVALID_REQUEST");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("calls about an unknown product are a 404") {
    struct call {
        std::string_view method, path;
    };
    for (const auto& asked :
         {call{"GET", ""}, call{"PATCH", ""}, call{"GET", "/policy"}, call{"DELETE", ""}}) {
        INFO(asked.method << asked.path);
        api_harness api;
        const auto ask = [&](const std::string& name) {
            return told(api.ask(asked.method, "/products/" + name + std::string(asked.path),
                                R"({"display_name":"D"})"));
        };
        CHECK(ask("demo") != "404 PRODUCT_NOT_FOUND");
        api.fake().described = fail(errc::product_not_found, "There is no product 'gone'.");
        api.fake().deletion = fail(errc::product_not_found, "There is no product 'gone'.");
        CHECK(ask("gone") == "404 PRODUCT_NOT_FOUND");
        // A name that no product can have is not looked up.
        api.fake().calls.clear();
        CHECK(ask("Gone%20") == "404 PRODUCT_NOT_FOUND");
        CHECK(ask("%zz") == "404 PRODUCT_NOT_FOUND");
        CHECK(api.fake().calls.empty());
    }
}

TEST_CASE("a product may have the slug register") {
    api_harness api;
    CHECK(api.ask("GET", "/products/register").status == 200);
    CHECK(api.ask("PATCH", "/products/register", "{}").status == 200);
    CHECK(api.ask("DELETE", "/products/register").status == 200);
    CHECK(api.ask("PUT", "/products/register/policy", R"({"policy":{}})").status == 200);
    CHECK(
        api.ask("POST", "/products/register", R"({"slug":"register","display_name":"R"})").status ==
        200);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"describe_product register", "update_product register",
                                   "delete_product register", "set_policy register",
                                   "register register R"});
}

TEST_CASE("a rotation of the platform key answers with the new key and its id") {
    api_harness api;
    const std::string path = "/products/demo/rotate-platform-key";
    CHECK(json_of(api.ask("POST", path)) == R"({"platform_api_key":"pk-sept-new","key_id":3})");
    CHECK(api.ask("POST", path, R"({"overlap_s":1.5})").status == 200);
    CHECK(api.ask("POST", path, R"({"overlap_s":2592000})").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"rotate_platform_key demo 0",
                                                       "rotate_platform_key demo 1500",
                                                       "rotate_platform_key demo 2592000000"});
    api.fake().calls.clear();
    for (const std::string_view body : {R"({"overlap_s":-1})", R"({"overlap_s":2592001})",
                                        R"({"overlap_s":"1"})", R"({"overlap_s":null})"}) {
        INFO(body);
        const auto reply = api.ask("POST", path, body);
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK_THAT(reply.body, Contains(R"("message":"overlap_s: )"));
    }
    CHECK(api.fake().calls.empty());
    api.fake().new_key = fail(errc::product_not_found, "There is no product 'gone'.");
    CHECK(told(api.ask("POST", path)) == "404 PRODUCT_NOT_FOUND");
}

TEST_CASE("a platform key is deleted by its id") {
    api_harness api;
    CHECK(json_of(api.ask("DELETE", "/products/demo/keys/2")) ==
          R"({"status":"deleted","key_id":2})");
    CHECK(api.fake().calls == std::vector<std::string>{"delete_platform_key demo 2"});
    api.fake().calls.clear();
    for (const std::string_view id : {"x", "-1", "1x", "%31", "99999999999999999999"}) {
        INFO(id);
        CHECK(told(api.ask("DELETE", "/products/demo/keys/" + std::string(id))) ==
              "404 PLATFORM_KEY_NOT_FOUND");
    }
    CHECK(told(api.ask("DELETE", "/products/Gone/keys/1")) == "404 PRODUCT_NOT_FOUND");
    CHECK(api.fake().calls.empty());
    api.fake().key_deleted = fail(errc::platform_key_not_found, "There is no such key.");
    CHECK(told(api.ask("DELETE", "/products/demo/keys/9")) == "404 PLATFORM_KEY_NOT_FOUND");
}

TEST_CASE("a product is deleted at once, or with its engines after a while") {
    api_harness api;
    const std::string id = R"("product_id":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")";
    const auto deleted = api.ask("DELETE", "/products/demo");
    CHECK(deleted.status == 200);
    CHECK(json_of(deleted) == R"({"status":"deleted",)" + id + "}");
    api.fake().deletion->done = false;
    api.fake().deletion->engines = 7;
    const auto deleting = api.ask("DELETE", "/products/demo?cascade=true");
    CHECK(deleting.status == 202);
    CHECK(json_of(deleting) == R"({"status":"deleting",)" + id + R"(,"engines":7})");
    CHECK(api.ask("DELETE", "/products/demo?cascade=false").status == 202);
    CHECK(api.fake().calls == std::vector<std::string>{"delete_product demo",
                                                       "delete_product demo cascade",
                                                       "delete_product demo"});
    api.fake().calls.clear();
    CHECK(told(api.ask("DELETE", "/products/demo?cascade=maybe")) == "400 INVALID_REQUEST");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("a product that is not empty is told with the number of its engines") {
    api_harness api;
    roundhouse::error refused{errc::product_not_empty, "Product 'demo' has 3 engines."};
    refused.details.emplace();
    refused.details->engines = 3;
    api.fake().deletion = roundhouse::unexpected(refused);
    const auto reply = api.ask("DELETE", "/products/demo");
    CHECK(told(reply) == "409 PRODUCT_NOT_EMPTY");
    CHECK_THAT(reply.body, Contains(R"("details":{"engines":3})"));
    api.fake().deletion = fail(errc::product_deleting, "Product 'demo' is being deleted.");
    CHECK(told(api.ask("DELETE", "/products/demo")) == "409 PRODUCT_DELETING");
}
