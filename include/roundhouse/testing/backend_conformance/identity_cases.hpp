#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

/// What a backend tells of itself and of its engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::word_cases {

template <backend Backend> void has_a_name_and_no_trouble(backend_trial<Backend>& trial) {
    require(!trial.tested().name().empty(), "a backend has a name");
    trial.await([&] { return !trial.tested().trouble(); }, "there should be no trouble");
    const auto engine = trial.boot();
    require(!trial.tested().trouble(), "there is no trouble while engines run");
}

template <backend Backend> void says_where_engines_are(backend_trial<Backend>& trial) {
    const auto one = trial.fresh();
    const auto other = trial.fresh();
    const auto url_of = [&](const trial_engine& engine) {
        return trial.tested().url(engine.what.ref.engine_id, engine.what.ref.port);
    };
    require(!url_of(one).empty(), "an engine has a URL");
    require(url_of(one) != url_of(other), "two engines have two URLs");
    require(url_of(one) == url_of(one), "a URL stays as it is");
    const auto port = one.what.ref.port;
    if (port == 0) return;
    require(url_of(one).ends_with(':' + std::to_string(port)), "a URL has the engine's port");
    require(trial.tested().port_usable(port), "a port that nobody holds is usable");
}

template <backend Backend> void lists_whose_an_engine_is(backend_trial<Backend>& trial) {
    auto engine = trial.fresh(3);
    engine.what.user_id = "Zo\u00eb \"the\" O'Neill=1,2/../\\";
    must(trial.create(engine));
    trial.await_healthy(engine);
    const engine_owner owner{engine.what.product_id, engine.what.user_id};
    const auto as_its_owner_s = [&] {
        const auto found = trial.listed(engine);
        require(found && (!found->owner || *found->owner == owner),
                "an engine is listed as its owner's, where the backend can tell");
        return found->owner.has_value();
    };
    trial.require_listed(engine, workload_state::up);
    const bool tells = as_its_owner_s();
    must(trial.stop(engine));
    require(as_its_owner_s() == tells, "a stopped engine's owner is told as a running one's");
}

template <backend Backend> void logs_answer(backend_trial<Backend>& trial) {
    constexpr std::size_t most = 2;
    const auto lines = [](const std::string& text) {
        const auto ends = std::count(text.begin(), text.end(), '\n');
        return static_cast<std::size_t>(ends) + (text.empty() || text.ends_with('\n') ? 0 : 1);
    };
    const auto never = trial.fresh();
    require(must(trial.logs(never, most)).empty(), "what never was has written nothing");
    const auto engine = trial.boot();
    require(lines(must(trial.logs(engine, most))) <= most, "no more lines than were asked for");
    require(must(trial.logs(engine, 0)).empty(), "no lines where none were asked for");
    must(trial.stop(engine));
    require(lines(must(trial.logs(engine, most))) <= most, "so also of a stopped engine");
    must(trial.destroy(engine));
    require(must(trial.logs(engine, most)).empty(), "what was destroyed has written nothing");
}

template <backend Backend> void takes_a_key_or_says_so(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    const auto answer = must(trial.swap_key(engine, engine.key, trial.fresh().key));
    require(answer != key_swap::unknown, "an engine that answers has one key or the other");
    trial.await_healthy(engine);
    trial.require_listed(engine, workload_state::up);
}

template <backend Backend> void no_key_for_what_is_not_up(backend_trial<Backend>& trial) {
    const auto never = trial.fresh();
    const auto stopped = trial.boot();
    must(trial.stop(stopped));
    for (const auto& engine : {never, stopped}) {
        const auto answer = trial.swap_key(engine, engine.key, trial.fresh().key);
        if (!answer) require_refused(answer, errc::backend_error);
        require(!answer || *answer != key_swap::done, "what is not up takes no key");
    }
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a backend has a name, and no trouble while all is well",
         has_a_name_and_no_trouble<Backend>},
        {"a backend says where engines are", says_where_engines_are<Backend>},
        {"an engine is listed with its owner, generation and port",
         lists_whose_an_engine_is<Backend>},
        {"logs answer, and are empty where there is nothing", logs_answer<Backend>},
        {"a key is taken, or it is said that it cannot be", takes_a_key_or_says_so<Backend>},
        {"what is not up takes no key", no_key_for_what_is_not_up<Backend>},
    };
}

} // namespace testing::word_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
