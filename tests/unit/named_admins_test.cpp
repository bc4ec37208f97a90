#include "../../reference-server/named_admins.hpp"
#include "../../reference-server/options.hpp"
#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse::server;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using roundhouse_tests::temporary_folder;

namespace {

const std::string master_key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const std::string key_of_jo = "the-key-of-jo-that-has-32-letters";
const std::string key_of_sam = "the=key=of-sam-that-has-32-letters";

roundhouse::result<invocation> parse(environment variables) {
    variables.try_emplace("ORCH_ENGINE_BACKEND", "memory");
    variables.try_emplace("ORCH_MASTER_KEY", master_key);
    return parse_options({}, variables);
}

std::string failure_of(environment variables) {
    const auto parsed = parse(std::move(variables));
    return parsed ? "it was accepted" : parsed.error().message;
}

std::string shown(const std::vector<named_admin>& admins) {
    std::string out;
    for (const auto& [name, key] : admins) out.append(name).append(" ").append(key).append(" ");
    return out;
}

} // namespace

TEST_CASE("administrators are named in a list or on lines") {
    const auto wanted = "jo " + key_of_jo + " sam-2 " + key_of_sam + " ";
    for (const std::string& text : {"jo=" + key_of_jo + ",sam-2=" + key_of_sam,
                                    " jo = " + key_of_jo + " , sam-2=" + key_of_sam + ",",
                                    "jo=" + key_of_jo + "\nsam-2=" + key_of_sam + "\n",
                                    "\njo=" + key_of_jo + "\r\n\r\nsam-2=" + key_of_sam + "\r\n"}) {
        INFO(text);
        const auto admins = parse_named_admins(text, "");
        REQUIRE(admins);
        CHECK(shown(*admins) == wanted);
    }
}

TEST_CASE("a malformed administrator is named by its line or entry, and no key is shown") {
    const auto failure = [](const std::string& text) {
        const auto admins = parse_named_admins(text, "the-key-without-a-name-of-32-letters");
        return admins ? "it was accepted" : admins.error().message;
    };
    const auto jo = "jo=" + key_of_jo;
    CHECK_THAT(failure(jo + "\n\nnobody\n"), StartsWith("line 3: is not name=key"));
    CHECK_THAT(failure(jo + ",nobody"), StartsWith("entry 2: is not name=key"));
    CHECK_THAT(failure("Jo=" + key_of_jo), StartsWith("entry 1: its name must be 1 to 32"));
    CHECK_THAT(failure("=" + key_of_jo), StartsWith("entry 1: its name must be 1 to 32"));
    CHECK_THAT(failure(std::string(33, 'a') + "=" + key_of_jo), Contains("its name"));
    CHECK_THAT(failure("jo=hush-hush"),
               StartsWith("entry 1: its key has fewer than 32") && !Contains("hush"));
    CHECK_THAT(failure("jo=hush hush hush hush hush hush hush hush"),
               Contains("visible ASCII") && !Contains("hush"));
    CHECK_THAT(failure("jo=pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
               Contains("platform key"));
    CHECK_THAT(failure(jo + "\njo=" + key_of_sam), StartsWith("line 2: ") && Contains("twice"));
    CHECK_THAT(failure(jo + "\nsam=" + key_of_jo), StartsWith("line 2: ") && Contains("twice"));
    CHECK_THAT(failure("jo=the-key-without-a-name-of-32-letters"), Contains("twice"));
    CHECK_THAT(failure("\n\n"), Contains("names no administrator"));
}

TEST_CASE("a server needs the admin key or a named administrator") {
    CHECK_THAT(failure_of({}), StartsWith("ORCH_ADMIN_KEY: is required"));
    const auto parsed = parse({{"ORCH_ADMIN_KEYS", "jo=" + key_of_jo}});
    REQUIRE(parsed);
    CHECK(parsed->warnings.empty());
    CHECK(parsed->options.admin_key.empty());
    CHECK(shown(parsed->options.named_admins) == "jo " + key_of_jo + " ");
    CHECK(parsed->options.named_admins_file.empty());
    CHECK_THAT(failure_of({{"ORCH_ADMIN_KEYS", "jo=short"}}),
               StartsWith("ORCH_ADMIN_KEYS: entry 1"));
    CHECK_THAT(failure_of({{"ORCH_ADMIN_KEY", key_of_jo}, {"ORCH_ADMIN_KEYS", "jo=" + key_of_jo}}),
               StartsWith("ORCH_ADMIN_KEYS: entry 1"));
}

TEST_CASE("the file of the named administrators is noted, to be read again") {
    const temporary_folder folder;
    const auto path = (folder.path() / "admins").string();
    std::ofstream(path) << "jo=" << key_of_jo << "\nsam=" << key_of_sam << "\n";
    const auto parsed = parse({{"ORCH_ADMIN_KEYS_FILE", path}});
    REQUIRE(parsed);
    CHECK(parsed->options.named_admins_file == path);
    CHECK(parsed->options.named_admins.size() == 2);
    const auto again = read_named_admins(path, "");
    REQUIRE(again);
    CHECK(shown(*again) == shown(parsed->options.named_admins));
    CHECK_THAT(failure_of({{"ORCH_ADMIN_KEYS_FILE", path}, {"ORCH_ADMIN_KEYS", "jo=" + key_of_jo}}),
               StartsWith("ORCH_ADMIN_KEYS_FILE: is given together with ORCH_ADMIN_KEYS"));
    const auto credential = folder.path() / "orch_admin_keys";
    std::ofstream(credential) << "sam=" << key_of_sam << "\n";
    const auto managed = parse({{"CREDENTIALS_DIRECTORY", folder.path().string()}});
    REQUIRE(managed);
    CHECK(managed->options.named_admins_file == credential.string());
    std::ofstream(path) << "jo=" << key_of_jo << "\nsam\n";
    CHECK_THAT(read_named_admins(path, "").error().message, StartsWith("line 2: "));
    std::ofstream(path) << "sam\n";
    CHECK_THAT(read_named_admins(path, "").error().message, StartsWith("line 1: "));
}
