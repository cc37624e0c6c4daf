//! What was seen, as a table and as JSON.

use std::error::Error;
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Settings;
use crate::login::Attempt;

/// The memory of one hash, in KiB.
const HASH_KIB: u64 = 19 * 1024;

const COLUMNS: [&str; 11] = [
    "site",
    "logins",
    "logins/s",
    "login ms, 50 % and 99 %",
    "second step ms, 50 % and 99 %",
    "busy",
    "site's CPU ms/login",
    "CPU share of site, of clients",
    "MiB at start, at most",
    "twice",
    "no event",
];

/// What was seen of one site.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) time: Duration,
    /// Processor time of the site, and of the clients.
    pub(crate) used: Duration,
    pub(crate) own_used: Duration,
    /// In KiB: before the first login, and the most ever.
    pub(crate) memory_before: u64,
    pub(crate) memory_peak: u64,
    /// Whether it had fewer people than were asked for: then its rate is still right.
    pub(crate) ran_out: bool,
    /// Every login that was acknowledged, those of the warm-up too.
    pub(crate) ids: Vec<String>,
    pub(crate) without_event: usize,
    accepted_twice: usize,
    busy: usize,
    whole: Vec<Duration>,
    second_steps: Vec<Duration>,
}

impl Seen {
    pub(crate) fn add(&mut self, attempt: Attempt) {
        self.busy += attempt.busy;
        let Some(login) = attempt.done else { return };
        self.whole.push(login.whole);
        self.second_steps.push(login.second_step);
        self.accepted_twice += usize::from(login.twice);
        self.ids.extend(login.id);
    }

    /// Forgets the times so far, and keeps what must hold of every login.
    pub(crate) fn start_counting(&mut self) {
        (self.whole, self.second_steps, self.busy) = Default::default();
        (self.time, self.used, self.own_used) = Default::default();
    }

    fn per_second(&self) -> f64 {
        self.whole.len() as f64 / self.time.as_secs_f64()
    }

    fn json(&mut self) -> Value {
        let processors = available_parallelism().map_or(1, usize::from) as f64;
        let available = self.time.as_secs_f64() * processors;
        json!({
            "logins": self.whole.len(),
            "logins_per_second": self.per_second(),
            "login_ms": percentiles(&mut self.whole),
            "second_step_ms": percentiles(&mut self.second_steps),
            "busy": self.busy,
            "site_cpu_ms_per_login": milliseconds(self.used) / self.whole.len().max(1) as f64,
            "site_cpu_share": self.used.as_secs_f64() / available,
            "clients_cpu_share": self.own_used.as_secs_f64() / available,
            "memory_before_mib": mebibytes(self.memory_before),
            "memory_peak_mib": mebibytes(self.memory_peak),
            "ran_out_of_people": self.ran_out,
            "accepted_twice": self.accepted_twice,
            "without_event": (!self.ids.is_empty()).then_some(self.without_event),
        })
    }
}

/// Everything that was seen.
pub(crate) struct Report(Value);

impl Report {
    /// `sites`: with hashes and without them, countersign and better-auth each.
    pub(crate) fn new(
        names: [&str; 4],
        seen: &mut [Seen; 4],
        hashes: &[f64],
        settings: &Settings,
    ) -> Result<Self, Box<dyn Error>> {
        let processors = u64::try_from(available_parallelism()?.get())?;
        let bare = hashes.iter().sum::<f64>() / hashes.len() as f64;
        let [ours, theirs, ours_unhashed, theirs_unhashed] = seen.each_ref().map(Seen::per_second);
        let peak = seen[0].memory_peak;
        let ratios = json!({
            "logins_per_bare_hash": ours / bare,
            "countersign_per_better_auth": ours / theirs,
            "countersign_per_better_auth_without_hash": ours_unhashed / theirs_unhashed,
            "memory_peak_per_bound_of_hashes": peak as f64 / (processors * HASH_KIB) as f64,
        });
        let sites: Vec<Value> = names
            .iter()
            .zip(seen)
            .map(|(name, seen)| {
                let mut site = seen.json();
                site["name"] = json!(name);
                site
            })
            .collect();
        Ok(Self(json!({
            "processors": processors,
            "clients": settings.clients,
            "rounds": settings.rounds,
            "seconds_per_turn": settings.turn,
            "bare_hashes_per_second": bare,
            "bare_hashes_per_second_by_round": hashes,
            "memory_bound_of_hashes_mib": mebibytes(processors * HASH_KIB),
            "ratios": ratios,
            "sites": sites,
        })))
    }

    pub(crate) fn json(&self) -> &Value {
        &self.0
    }

    pub(crate) fn print(&self) {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let all = &self.0;
        println!(
            "{} processors, {} clients, {} rounds of {} s each; bare hashes: {:.1} a second\n",
            all["processors"],
            all["clients"],
            all["rounds"],
            all["seconds_per_turn"],
            number(&all["bare_hashes_per_second"])
        );
        println!("| {} |\n|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
        for site in all["sites"].as_array().into_iter().flatten() {
            let of = |name: &str| number(&site[name]);
            let pair = |name: &str| {
                format!("{:.1}, {:.1}", number(&site[name]["p50"]), number(&site[name]["p99"]))
            };
            println!(
                "| {} | {} | {:.1} | {} | {} | {} | {:.2} | {:.2}, {:.2} | {:.0}, {:.0} | {} \
                    | {} |",
                site["name"].as_str().unwrap_or_default(),
                site["logins"],
                of("logins_per_second"),
                pair("login_ms"),
                pair("second_step_ms"),
                site["busy"],
                of("site_cpu_ms_per_login"),
                of("site_cpu_share"),
                of("clients_cpu_share"),
                of("memory_before_mib"),
                of("memory_peak_mib"),
                site["accepted_twice"],
                site["without_event"].as_u64().map_or("-".into(), |events| events.to_string()),
            );
        }
        println!();
        for (name, ratio) in all["ratios"].as_object().into_iter().flatten() {
            println!("{}: {:.2}", name.replace('_', " "), number(ratio));
        }
        println!(
            "memory bound of the hashes: {:.0} MiB",
            number(&all["memory_bound_of_hashes_mib"])
        );
    }

    /// Whether everything held that must.
    pub(crate) fn held(&self) -> Result<(), Box<dyn Error>> {
        for site in self.0["sites"].as_array().into_iter().flatten() {
            let none = |name: &str| site[name].as_u64().is_none_or(|found| found == 0);
            if !none("accepted_twice") || !none("without_event") {
                let what = "a code accepted twice, or a login without its event";
                return Err(format!("{what}: {site:#}").into());
            }
            if site["logins"] == 0 {
                return Err(format!("no login: {site:#}").into());
            }
        }
        Ok(())
    }
}

fn percentiles(times: &mut [Duration]) -> Value {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().map(milliseconds)
    };
    json!({"p50": at(50), "p99": at(99)})
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(&mut times), json!({"p50": 101.0, "p99": 199.0}));
        assert_eq!(percentiles(&mut []), json!({"p50": null, "p99": null}));
    }
}
