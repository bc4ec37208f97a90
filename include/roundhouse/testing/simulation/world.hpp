#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/simulation/answers.hpp>
#include <roundhouse/testing/simulation/backend.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/front.hpp>
#include <roundhouse/testing/simulation/incarnation.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/mischief.hpp>
#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/quiet.hpp>
#include <roundhouse/testing/simulation/random.hpp>
#include <roundhouse/testing/simulation/report.hpp>
#include <roundhouse/testing/simulation/rules.hpp>
#include <roundhouse/testing/simulation/scene.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/users.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// A whole fleet with its machine, its users and everything that goes wrong, in one thread and in
/// virtual time: the orchestrator as it is, over a `faulty_store<Store>` and a `sim_backend`. One
/// plan always makes the same run.
template <class Store = memory_store> class sim_world {
public:
    explicit sim_world(const sim_plan& plan)
        : plan_(plan),
          random_(plan.seed),
          scene_(sim_scene::drawn(random_.branch("scene"))),
          timeline_(std::make_shared<sim_timeline>()),
          trace_(std::make_shared<sim_trace>(timeline_, plan.whole_trace)),
          judge_(std::make_shared<sim_judge>()),
          calls_(std::make_shared<sim_calls>(timeline_, trace_)),
          crashes_(std::make_shared<sim_crash_plan>(points_of(plan, scene_))),
          faults_(std::make_shared<sim_faults>(scene_.faulty
                                                   ? sim_faults::drawn(random_.branch("faults"))
                                                   : sim_faults(random_.branch("faults")))),
          machine_(std::make_shared<sim_machine>(timeline_, faults_, trace_,
                                                 scene_.settings.boot_timeout)),
          store_(std::make_shared<Store>()),
          ledger_(std::make_shared<sim_ledger>(timeline_, trace_, judge_, calls_, scene_.settings,
                                               scene_.needs_port)),
          rules_(
              std::make_shared<sim_rules>(timeline_, judge_, ledger_, machine_, scene_.settings)),
          model_(std::make_shared<sim_model>(timeline_, judge_, scene_)),
          front_(timeline_, judge_, calls_, ledger_, rules_, machine_, model_,
                 sim_answers(judge_, scene_.settings, scene_.faulty)),
          users_(random_.branch("users"), scene_),
          mischief_(timeline_, faults_, machine_, trace_, scene_),
          keys_(make_keys(random_.branch("keys"))) {
        machine_->on_removal([this](const uuid& engine) { rules_->check_removal(engine); });
        register_products();
        add_strays();
    }
    sim_world(const sim_world&) = delete;
    sim_world& operator=(const sim_world&) = delete;

    [[nodiscard]] sim_report run() {
        open();
        mischief_.go_on();
        plan_action();
        run_until([this] { return actions_ >= plan_.actions; }, std::chrono::years{10});
        heal();
        const auto calm = [this] {
            return life_->recovered && calls_->count() == 0 && rules_->under_way() == 0 &&
                   !missing_for_quiet(*ledger_, *machine_, scene_.settings);
        };
        if (!run_until(calm, time_to_heal())) judge_->blame("not quiet in time: " + unrest());
        model_->check_end(*ledger_);
        life_.reset();
        return report();
    }

private:
    using incarnation = sim_incarnation<Store>;
    using seconds = std::chrono::seconds;

    /// What heals takes at most: a create that is answered very late, in front of which others
    /// wait, and every restart that an engine has left; and the probes that tell what hangs.
    [[nodiscard]] duration time_to_heal() const {
        const auto& with = scene_.settings;
        return std::chrono::minutes{30} +
               with.health_check_interval * (with.health_max_failures + 1);
    }

    static std::set<std::uint64_t> points_of(const sim_plan& plan, const sim_scene& scene) {
        auto out = scene.crash_at;
        out.insert(plan.crash_at.begin(), plan.crash_at.end());
        return out;
    }

    /// No instant has more to do than this, unless something goes round in circles.
    static constexpr std::size_t most_at_once = 100'000;

    // The process

    void open() {
        life_ = std::make_unique<incarnation>();
        auto& life = *life_;
        life.process = std::make_shared<sim_process>(crashes_);
        life.clock = std::make_shared<sim_clock>(timeline_, life.process);
        life.backend = std::make_shared<sim_backend>(machine_, faults_, life.clock, life.process,
                                                     trace_, scene_.needs_port, backend_watch());
        life.store = std::make_shared<typename incarnation::store_type>(
            store_, store_script_of(life.process));
        orchestrator_options options(keys_);
        options.settings = scene_.settings;
        auto entropy = std::make_shared<sim_random>(
            random_.branch("entropy " + std::to_string(++incarnations_)));
        options.entropy = [entropy](std::span<std::uint8_t> out) { entropy->fill(out); };
        life.over = std::make_shared<typename incarnation::orchestrator_type>(
            life.io.get_executor(), life.backend, life.store, life.clock, std::move(options));
        trace_->note("process " + std::to_string(incarnations_) + " begins");
        recover();
    }

    void recover() {
        auto process = life_->process;
        life_->over->async_recover([this, process](const result<void>& done) {
            if (!process->alive()) return;
            trace_->note(done ? "recovered" : "not recovered: " + done.error().message);
            if (done) {
                life_->recovered = true;
                return;
            }
            timeline_->after(seconds{1}, [this, process] {
                if (process->alive()) recover();
            });
        });
    }

    /// The process is gone. Another begins after a while.
    void bury() {
        trace_->note("process " + std::to_string(incarnations_) + " dies");
        faults_->note(life_->process->died_before() ? sim_fault::crash_before
                                                    : sim_fault::crash_after);
        machine_->on_exit(nullptr);
        machine_->on_pause(nullptr);
        life_.reset();
        calls_->lose_all();
        rules_->process_ended();
        model_->give_up();
        timeline_->after(random_.between(duration{0}, duration{10'000}), [this] { open(); });
    }

    store_script store_script_of(const std::shared_ptr<sim_process>& process) {
        auto fate = std::make_shared<sim_fate>(sim_fate::lives);
        store_script out;
        out.fault = [this, process, fate](const change_set&) {
            *fate = process->interact();
            if (!process->alive()) return store_fault::refused;
            if (mischief_.store_is_full() || faults_->strikes(sim_fault::store_refuses))
                return store_fault::refused;
            return faults_->strikes(sim_fault::store_denies) ? store_fault::denied
                                                             : store_fault::none;
        };
        out.committed = [this, process, fate](const change_set& set, const auto& done) {
            ledger_->committed(set, done);
            check_counts(set);
            if (*fate == sim_fate::dies_after) process->die();
        };
        return out;
    }

    sim_backend_watch backend_watch() {
        return {
            [this](sim_operation what, const workload_ref& ref) { rules_->call_began(what, ref); },
            [this](sim_operation what, const workload_ref& ref) { rules_->call_ended(what, ref); },
            [this](const workload_ref& ref, const health& how) { rules_->probed(ref, how); }};
    }

    /// The counters equal the rows, at any moment.
    void check_counts(const change_set&) {
        for (const auto& who : products_) {
            const auto counts = store_->counts(who);
            fleet_counts rows;
            for (const auto& [id, known] : ledger_->rows())
                if (known.row->product_id == who)
                    ++rows.by_status[static_cast<std::size_t>(known.row->status)];
            judge_->require(counts && counts->by_status == rows.by_status &&
                                counts->total() ==
                                    counts->total_provisions - counts->total_destroys,
                            "the counters are not what the rows say");
        }
    }

    // Time

    /// Runs until something holds; false if it does not within that time, or a rule is broken.
    template <class Condition> bool run_until(Condition holds, duration at_most) {
        const auto end = timeline_->now() + at_most;
        for (;;) {
            std::size_t at_once = 0;
            while (life_ && life_->io.poll_one() > 0) {
                if (!after_event()) return false;
                if (++at_once < most_at_once) continue;
                judge_->blame("time stands still: there is always something ready");
                return false;
            }
            if (life_ && holds()) return true;
            const auto next = timeline_->next();
            if (!next || *next > end) return false;
            timeline_->advance();
            if (!after_event()) return false;
        }
    }

    /// False if a rule is broken.
    bool after_event() {
        rules_->check();
        if (life_ && !life_->process->alive()) bury();
        return !judge_->broken();
    }

    void heal() {
        trace_->note("nothing goes wrong from here on");
        faults_->end();
        mischief_.end();
        crashes_->disarm();
        machine_->heal();
    }

    std::string unrest() const {
        if (!life_ || !life_->recovered) return "the process has not recovered";
        if (calls_->count() > 0) return "calls are not answered:" + calls_->text();
        if (const auto why = missing_for_quiet(*ledger_, *machine_, scene_.settings)) return *why;
        return "calls to the backend have not ended";
    }

    // Users

    void plan_action() {
        timeline_->after(users_.gap(), [this] { act(); });
    }

    void act() {
        if (scene_.manners == sim_manners::in_turn && calls_->count() > 0) return plan_action();
        const auto action = users_.next();
        if (life_) perform(action);
        if (++actions_ < plan_.actions) plan_action();
    }

    void perform(const sim_action& action) {
        const auto& id = products_[action.product];
        const auto who = or_throw(store_->find_product_named(to_string(id)));
        auto request = action.request;
        request.user.first = id;
        switch (action.what) {
        case sim_action::kind::call: return front_.call(*life_, who, request);
        case sim_action::kind::read: return front_.read(*life_, who);
        case sim_action::kind::set_policy:
            return front_.set_policy(*life_, who, action.limits, scene_.faulty);
        }
    }

    /// Products are there from the beginning: what is simulated is their engines.
    void register_products() {
        auto random = random_.branch("products");
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        for (std::size_t i = 0; i < scene_.products; ++i) {
            product one;
            one.id = crypto::make_uuid(entropy);
            one.slug = "product" + std::to_string(i);
            one.key_hash = crypto::sha256(one.slug);
            one.policy = users_.some_policy();
            products_.push_back(one.id);
            change_set set;
            set.changes.push_back(put_product{std::move(one)});
            or_throw(store_->commit(set));
        }
    }

    void add_strays() {
        auto random = random_.branch("strays");
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        for (std::size_t i = 0; i < scene_.orphans; ++i)
            machine_->add_stray(crypto::make_uuid(entropy), true);
        for (std::size_t i = 0; i < scene_.foreign; ++i)
            machine_->add_stray(crypto::make_uuid(entropy), false);
    }

    static crypto::key_ring make_keys(sim_random random) {
        const crypto::entropy entropy = [&](std::span<std::uint8_t> out) { random.fill(out); };
        return or_throw(crypto::key_ring::parse(crypto::key_ring::make_key(entropy)));
    }

    sim_report report() const {
        sim_report out;
        out.broken = judge_->broken();
        out.trace = plan_.whole_trace ? trace_->text() : trace_->last();
        out.interactions = crashes_->interactions();
        out.calls = calls_->made();
        out.took = timeline_->since_start();
        out.fired = faults_->fired();
        return out;
    }

    const sim_plan plan_;
    sim_random random_;
    const sim_scene scene_;
    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_trace> trace_;
    const std::shared_ptr<sim_judge> judge_;
    const std::shared_ptr<sim_calls> calls_;
    const std::shared_ptr<sim_crash_plan> crashes_;
    const std::shared_ptr<sim_faults> faults_;
    const std::shared_ptr<sim_machine> machine_;
    const std::shared_ptr<Store> store_;
    const std::shared_ptr<sim_ledger> ledger_;
    const std::shared_ptr<sim_rules> rules_;
    const std::shared_ptr<sim_model> model_;
    sim_front<incarnation> front_;
    sim_users users_;
    sim_mischief mischief_;
    const crypto::key_ring keys_;
    std::vector<uuid> products_;
    std::size_t actions_ = 0;
    std::uint64_t incarnations_ = 0;
    std::unique_ptr<incarnation> life_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
