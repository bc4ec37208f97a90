#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/faulty_store.hpp>
#include <roundhouse/testing/simulation/action_generator.hpp>
#include <roundhouse/testing/simulation/answer_check.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/brake_rules.hpp>
#include <roundhouse/testing/simulation/call_driver.hpp>
#include <roundhouse/testing/simulation/fault_injector.hpp>
#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/gone_products.hpp>
#include <roundhouse/testing/simulation/incarnation.hpp>
#include <roundhouse/testing/simulation/latency_rules.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/model.hpp>
#include <roundhouse/testing/simulation/once_rules.hpp>
#include <roundhouse/testing/simulation/options.hpp>
#include <roundhouse/testing/simulation/pending_calls.hpp>
#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/quiet.hpp>
#include <roundhouse/testing/simulation/random_generator.hpp>
#include <roundhouse/testing/simulation/report.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/settings_rules.hpp>
#include <roundhouse/testing/simulation/spontaneous_faults.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/turn_rules.hpp>
#include <roundhouse/testing/simulation/upgrade_rules.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/testing/simulation/wait_rules.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/testing/simulation/workload_rules.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
/// Simulations of whole fleets (docs/simulation.md). For users: `world`, `run_options`,
/// `run_report`, and the faults that a report counts. What they are made of is in `sim::detail`,
/// and may change at any time.
namespace testing::sim {

/// A fleet with its machine, its users and its faults, on one thread and in virtual time: the
/// orchestrator as it is, over a `faulty_store<Store>` and a simulated backend.
///
/// `Store` is default-constructed for each world, and outlives the crashes of the simulated
/// process. The same options always make the same run.
template <class Store = memory_store> class world {
public:
    explicit world(const run_options& options)
        : options_(options),
          random_(options.seed),
          scenario_(detail::scenario::drawn(random_.branch("scene"))),
          wall_(time_),
          trace_(time_, options.whole_trace),
          calls_(time_, trace_, scenario_.settings),
          crashes_(crash_points(options, scenario_)),
          faults_(make_faults()),
          machine_(time_, faults_, trace_, scenario_.settings.boot_timeout),
          store_(std::make_shared<Store>()),
          keys_(make_keys(random_.branch("keys"))),
          ledger_(time_, wall_, trace_, violations_, calls_, scenario_.settings,
                  scenario_.needs_port),
          rules_(time_, wall_, violations_, ledger_, machine_, scenario_.settings,
                 [this](const uuid& id) { return product_of(id); }),
          settings_rules_(violations_, ledger_, keys_, scenario_.settings,
                          [this](const uuid& id) { return product_of(id); }),
          upgrade_rules_(violations_, machine_),
          once_rules_(time_, wall_, violations_, scenario_.faulty),
          wait_rules_(time_, violations_, calls_, scenario_.settings),
          turns_(violations_, ledger_, scenario_),
          latencies_(time_, violations_, calls_, ledger_, scenario_),
          brakes_(time_, violations_, ledger_, scenario_.settings),
          model_(time_, violations_, scenario_),
          answers_(violations_, scenario_.settings, scenario_.faulty),
          driver_(time_, violations_, calls_, ledger_, rules_, settings_rules_, once_rules_,
                  wait_rules_, machine_, model_, answers_),
          actions_(random_.branch("users"), scenario_),
          spontaneous_(time_, wall_, faults_, machine_, trace_, scenario_) {
        machine_.on_removal([this](const uuid& engine) { rules_.check_removal(engine); });
        register_products();
        add_strays();
    }
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    /// Runs the simulation to its end, or until a rule is broken. To be called once.
    [[nodiscard]] run_report run() {
        begin_process();
        spontaneous_.begin();
        plan_action();
        run_until([this] { return actions_done_ >= options_.actions; }, std::chrono::years{10});
        end_faults();
        const auto at_rest = [this] {
            return process_->recovered && calls_.count() == 0 && rules_.under_way() == 0 &&
                   !unrest();
        };
        if (!run_until(at_rest, longest_recovery()))
            violations_.add("not quiet in time: " + unrest().value_or("calls to the backend have "
                                                                      "not ended"));
        model_.check_end(ledger_);
        detail::check_gone_products(*store_, ledger_, machine_, keeps_audit(), violations_);
        process_.reset();
        return report();
    }

private:
    using incarnation = detail::incarnation<Store>;
    using seconds = std::chrono::seconds;

    /// The time within which a fleet must come to rest once there are no more faults: a create that
    /// is answered very late while others wait for a turn, all restarts that an engine has left,
    /// and the probes that find engines which hang. If many do, they are probed once for the brake,
    /// then after its longest time for the trial and for its success, and then for themselves.
    [[nodiscard]] duration longest_recovery() const {
        const auto& settings = scenario_.settings;
        return std::chrono::minutes{30} + settings.brake_max +
               settings.health_check_interval * 3 * (settings.health_max_failures + 1);
    }

    static std::set<std::uint64_t> crash_points(const run_options& options,
                                                const detail::scenario& scenario) {
        auto out = scenario.crash_at;
        out.insert(options.crash_at.begin(), options.crash_at.end());
        return out;
    }

    [[nodiscard]] detail::fault_injector make_faults() const {
        const auto random = random_.branch("faults");
        return scenario_.faulty ? detail::fault_injector::drawn(random)
                                : detail::fault_injector(random);
    }

    /// More handlers than this without any progress of time mean an endless loop.
    static constexpr std::size_t max_handlers_at_once = 100'000;

    // The process

    void begin_process() {
        ++incarnations_;
        process_ = std::make_unique<incarnation>(
            typename incarnation::surroundings{time_, wall_, crashes_, faults_, machine_, trace_,
                                               scenario_, keys_, store_},
            random_.branch("entropy " + std::to_string(incarnations_)), observer(),
            [this](incarnation& current) { return script_for(current); });
        trace_.note("process " + std::to_string(incarnations_) + " begins");
        recover();
    }

    void recover() {
        auto& current = *process_;
        current.orchestrator->async_recover([this, &current](const result<void>& outcome) {
            if (!current.process.alive()) return;
            trace_.note(outcome ? "recovered" : "not recovered: " + outcome.error().message);
            current.recovered = outcome.has_value();
            if (outcome) return;
            // The process may have been replaced by then.
            time_.after(seconds{1}, [this, number = incarnations_] {
                if (process_ && incarnations_ == number) recover();
            });
        });
    }

    /// Removes the process that has died, and plans the begin of the next.
    void bury_process() {
        trace_.note("process " + std::to_string(incarnations_) + " dies");
        faults_.count(process_->process.died_before() ? fault::crash_before : fault::crash_after);
        machine_.on_exit(nullptr);
        machine_.on_pause(nullptr);
        process_.reset();
        calls_.drop_all();
        rules_.process_ended();
        ledger_.process_ended();
        turns_.process_ended();
        latencies_.process_ended();
        brakes_.process_ended();
        model_.give_up();
        time_.after(random_.between(duration{0}, duration{10'000}), [this] { begin_process(); });
    }

    /// The script of an incarnation's store. It outlives `process_`, which is empty while the
    /// incarnation is being destroyed.
    store_script script_for(incarnation& current) {
        store_script out;
        out.fault = [this, &current](const change_set& set) {
            current.commit_crash = current.process.interact();
            if (!current.process.alive()) return store_fault::refused;
            if (spontaneous_.store_is_full() || faults_.fires(fault::store_refuses)) {
                latencies_.commit_refused(set);
                return store_fault::refused;
            }
            current.commit_denied = faults_.fires(fault::store_denies);
            return current.commit_denied ? store_fault::denied : store_fault::none;
        };
        out.committed = [this, &current](const change_set& set, const auto& outcome) {
            ledger_.committed(set, outcome);
            if (outcome) see_products(set);
            upgrade_rules_.committed(set, outcome);
            latencies_.commit_made(set);
            // The process does not know yet what was made and denied.
            if (outcome && !current.commit_denied)
                for (const auto& row : set.audit) check_brake(current, row);
            if (outcome && begins_operation(*outcome)) spontaneous_.operation_began();
            check_counts();
            if (current.commit_crash == detail::crash_time::after_effect) current.process.die();
        };
        return out;
    }

    /// Follows the products that are registered under the slugs of those from the beginning.
    void see_products(const change_set& set) {
        for (const auto& change : set.changes) {
            const auto* const put = std::get_if<put_product>(&change);
            if (put == nullptr || put->record.revision > 0) continue;
            for (std::size_t i = 0; i < products_.size(); ++i)
                if (put->record.slug == slug_in(i)) products_[i] = put->record.id;
        }
    }

    /// Whether no audit row of the run is older than the retention.
    [[nodiscard]] bool keeps_audit() const {
        const std::chrono::days kept{scenario_.settings.audit_retention_days};
        return wall_.shifts() == 0 && time_.since_start() < kept;
    }

    void check_brake(const incarnation& current, const audit_entry& row) {
        if (row.product_id) brakes_.committed(row, brake_of(current, *row.product_id));
    }
    static std::optional<brake_status> brake_of(const incarnation& current, const uuid& product) {
        roundhouse::product asked;
        asked.id = product;
        return or_throw(current.orchestrator->status(std::make_shared<roundhouse::product>(asked)))
            .brake;
    }

    static bool begins_operation(const committed& made) {
        return std::any_of(made.engines.begin(), made.engines.end(),
                           [](const auto& row) { return row->intent != intent::none; });
    }

    detail::backend_observer observer() {
        using detail::backend_operation;
        return {
            .began =
                [this](backend_operation operation, const workload_ref& ref) {
                    rules_.call_began(operation, ref);
                    turns_.call_began(operation, ref);
                    latencies_.backend_call_began(operation, ref);
                },
            .is_for_upgrade = [this](const workload& request) { return is_for_upgrade(request); },
            .asked_for = [this](const workload& request) { settings_rules_.asked_for(request); },
            .asked_to_stop = [this](const workload_ref& ref,
                                    duration grace) { settings_rules_.asked_to_stop(ref, grace); },
            .ended =
                [this](backend_operation operation, const workload_ref& ref) {
                    if (operation != backend_operation::prepare_upgrade) rules_.call_ended(ref);
                    turns_.call_ended(operation, ref);
                    latencies_.backend_call_ended(operation, ref);
                },
            .probed = [this](const workload_ref& ref,
                             const health& answer) { rules_.probed(ref, answer); }};
    }

    /// A boot prepares the version that its row has, also one that was just superseded; its engine
    /// does not run.
    [[nodiscard]] bool is_for_upgrade(const workload& request) const {
        const auto row = ledger_.find(request.ref.engine_id);
        return row && (row->status == engine_status::running || row->version != request.version);
    }

    /// Checks that the counters of the store equal the rows.
    void check_counts() {
        for (const auto& product : products_) {
            const auto counts = store_->counts(product);
            fleet_counts rows;
            for (const auto& [id, known] : ledger_.rows())
                if (known.row->product_id == product)
                    ++rows.by_status[static_cast<std::size_t>(known.row->status)];
            violations_.require(
                counts && counts->by_status == rows.by_status &&
                    counts->total() == counts->total_provisions - counts->total_destroys &&
                    counts->reserved_memory_mb == ledger_.reserved_memory_mb(product),
                "the counters are not what the rows say");
        }
    }

    // Time

    /// Runs until the condition holds; false if it does not within that time, or if a rule is
    /// broken.
    template <class Condition> bool run_until(Condition holds, duration longest) {
        const auto end = time_.now() + longest;
        for (;;) {
            std::size_t handlers = 0;
            while (process_ && process_->io.poll_one() > 0) {
                if (!after_event()) return false;
                if (++handlers < max_handlers_at_once) continue;
                violations_.add("time stands still: there is always something ready");
                return false;
            }
            if (process_ && holds()) return true;
            const auto next = time_.next();
            if (!next || *next > end) return false;
            time_.advance();
            if (!after_event()) return false;
        }
    }

    /// False if a rule is broken.
    bool after_event() {
        rules_.check();
        latencies_.check();
        wait_rules_.check();
        const bool can_brake = scenario_.users >= scenario_.settings.brake_min_failing;
        if (can_brake && process_ && process_->process.alive())
            for (const auto& product : products_)
                brakes_.saw(product, brake_of(*process_, product));
        if (process_ && !process_->process.alive()) bury_process();
        return !violations_.first();
    }

    void end_faults() {
        trace_.note("nothing goes wrong from here on");
        faults_.end();
        spontaneous_.end();
        crashes_.disarm();
        machine_.heal();
    }

    /// What is not at rest, except calls to the backend; nothing if everything is.
    [[nodiscard]] std::optional<std::string> unrest() {
        if (!process_ || !process_->recovered) return "the process has not recovered";
        if (calls_.count() > 0) return "calls are not answered:" + calls_.text();
        for (const auto& product : products_)
            if (brake_of(*process_, product)) return "the brake is on";
        for (std::size_t i = 0; i < products_.size(); ++i)
            if (const auto product = product_in(i); product && product->deleting_since)
                return "a product is being deleted";
        return detail::reason_for_unrest(ledger_, machine_, scenario_.settings);
    }

    [[nodiscard]] product_ptr product_of(const uuid& id) const {
        return or_throw(store_->find_product_named(to_string(id)));
    }

    static std::string slug_in(std::size_t slot) { return "product" + std::to_string(slot); }
    /// The product that has the slug of this place; null if it was deleted.
    [[nodiscard]] product_ptr product_in(std::size_t slot) const {
        return or_throw(store_->find_product_named(slug_in(slot)));
    }

    // Users

    void plan_action() {
        time_.after(actions_.gap(), [this] { act(); });
    }

    void act() {
        if (scenario_.order == detail::call_order::sequential && calls_.count() > 0)
            return plan_action();
        const auto action = actions_.next();
        if (process_) perform(action);
        if (++actions_done_ < options_.actions) plan_action();
    }

    void perform(const detail::action& action) {
        const auto product = product_in(action.product);
        if (!product)
            return driver_.register_product(*process_, slug_in(action.product), action.limits,
                                            scenario_.faulty);
        auto request = action.request;
        request.owner.product_id = product->id;
        switch (action.type) {
        case detail::action::kind::call: return driver_.call(*process_, product, request);
        case detail::action::kind::read: return driver_.read(*process_, product);
        case detail::action::kind::set_policy:
            return driver_.set_policy(*process_, product, action.limits, scenario_.faulty);
        case detail::action::kind::set_defaults: {
            auto given = action.defaults;
            if (product->defaults) given.sleep = product->defaults->settings.sleep;
            return driver_.set_defaults(*process_, product, given, scenario_.faulty);
        }
        case detail::action::kind::rename:
            return driver_.rename(*process_, product, request.owner.user_id, scenario_.faulty);
        case detail::action::kind::rotate_platform_key:
            return driver_.rotate_platform_key(*process_, product, scenario_.faulty);
        case detail::action::kind::register_once:
            return driver_.register_once(*process_, action.slug, scenario_.faulty);
        case detail::action::kind::delete_product:
            return driver_.delete_product(*process_, product, action.cascade, scenario_.faulty);
        }
    }

    /// Products exist from the beginning. Some are deleted, and registered anew under their slugs.
    void register_products() {
        auto random = random_.branch("products");
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        for (std::size_t i = 0; i < scenario_.products; ++i) {
            product record;
            record.id = crypto::make_uuid(entropy);
            record.slug = slug_in(i);
            record.keys = {{1, crypto::sha256(record.slug)}};
            record.policy = actions_.draw_policy();
            product_defaults defaults;
            defaults.settings.sleep = actions_.draw_default_sleep();
            if (defaults.settings.sleep != sleep_settings{})
                record.defaults = std::make_shared<const product_defaults>(std::move(defaults));
            products_.push_back(record.id);
            change_set set;
            set.changes.push_back(put_product{std::move(record)});
            or_throw(store_->commit(set));
        }
    }

    void add_strays() {
        auto random = random_.branch("strays");
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        for (std::size_t i = 0; i < scenario_.orphans; ++i)
            machine_.add_stray(crypto::make_uuid(entropy), true);
        for (std::size_t i = 0; i < scenario_.foreign; ++i)
            machine_.add_stray(crypto::make_uuid(entropy), false);
    }

    static crypto::key_ring make_keys(detail::random_generator random) {
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        return or_throw(crypto::key_ring::parse(crypto::key_ring::make_key(entropy)));
    }

    [[nodiscard]] run_report report() const {
        run_report out;
        out.broken = violations_.first();
        out.trace = options_.whole_trace ? trace_.text() : trace_.last();
        out.interactions = crashes_.interactions();
        out.calls = calls_.issued();
        out.took = time_.since_start();
        out.fired = faults_.fired();
        return out;
    }

    // The parts, in the order of their dependencies: each refers only to those before it.
    const run_options options_;
    detail::random_generator random_;
    const detail::scenario scenario_;
    detail::timeline time_;
    detail::wall_clock wall_;
    detail::trace trace_;
    detail::violations violations_;
    detail::pending_calls calls_;
    detail::crash_plan crashes_;
    detail::fault_injector faults_;
    detail::machine machine_;
    const std::shared_ptr<Store> store_; ///< Shared because `faulty_store` takes it so.
    const crypto::key_ring keys_;
    detail::ledger ledger_;
    detail::workload_rules rules_;
    detail::settings_rules settings_rules_;
    detail::upgrade_rules upgrade_rules_;
    detail::once_rules once_rules_;
    detail::wait_rules wait_rules_;
    detail::turn_rules turns_;
    detail::latency_rules latencies_;
    detail::brake_rules brakes_;
    detail::model model_;
    const detail::answer_check answers_;
    detail::call_driver<incarnation> driver_;
    detail::action_generator actions_;
    detail::spontaneous_faults spontaneous_;
    std::vector<uuid> products_;
    std::size_t actions_done_ = 0;
    std::uint64_t incarnations_ = 0;
    std::unique_ptr<incarnation> process_; ///< Empty between two incarnations.
};

} // namespace testing::sim
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
