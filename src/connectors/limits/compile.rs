//! Limits of a file, held against what can be.

use std::collections::BTreeMap;

use super::{
    Limits,
    file::{BreakerFile, HintFile, OperationLimitsFile, RetriesFile, WindowFile},
    gate::{Own, Plan},
    hints::{Hint, Hints, Place},
    window::Rate,
};
use crate::connectors::{
    compile::Maker,
    file::{File, OperationFile},
    operation,
};

const WINDOWS: usize = 8;
/// A month, for monthly quotas.
const LONGEST_S: u32 = 31 * 86_400;
const MOST: u32 = 10_000_000;

/// What the file says of an operation's limits.
fn file_limits<'a>(all: &'a BTreeMap<String, OperationFile>, name: &str) -> Option<&'a OperationLimitsFile> {
    all.get(name)?.limits.as_ref()
}

impl Maker<'_> {
    /// The names that stand beside an answer are known already.
    pub(in crate::connectors) fn limits(&mut self, file: &File) -> Limits {
        let limits = file.limits.clone().unwrap_or_default();
        let windows = self.windows("/limits/windows", &limits.windows, 1);
        let all = &file.operations;
        let (mut own, mut shares) = (BTreeMap::new(), BTreeMap::new());
        let mut breakers = BTreeMap::new();
        for (name, file) in &file.operations {
            let Some(spec) = operation::named(name) else { continue };
            let at = format!("/operations/{name}");
            if let Some(breaker) = &file.breaker {
                self.breaker(&format!("{at}/breaker"), breaker);
                breakers.insert(spec.name, *breaker);
            }
            let Some(limits) = &file.limits else { continue };
            let cost = limits.cost.unwrap_or(1);
            for rate in &windows {
                if u64::from(cost) + u64::from(rate.kept) > rate.depth() {
                    let found = format!(
                        "a request costs {cost}, and a window has {} for background work",
                        rate.depth().saturating_sub(u64::from(rate.kept))
                    );
                    self.problem(&format!("{at}/limits/cost"), found, "a cost that fits into every window");
                }
            }
            if cost == 0 {
                self.problem(&format!("{at}/limits/cost"), "found 0", "1 or more");
            }
            if let Some(with) = &limits.shares {
                let theirs = file_limits(all, with);
                let fits = theirs.is_some_and(|theirs| theirs.shares.is_none() && !theirs.windows.is_empty());
                let Some(with) = operation::named(with).filter(|_| fits && *with != *name) else {
                    let wanted = "an operation of this file that has limits.windows of its own";
                    self.problem(&format!("{at}/limits/with"), "there are no windows to share", wanted);
                    continue;
                };
                if !limits.windows.is_empty() || limits.alone {
                    let wanted = "windows and alone at the operation whose they are";
                    self.problem(
                        &format!("{at}/limits"),
                        "it shares another's windows and says more of its own",
                        wanted,
                    );
                }
                shares.insert(spec.name, (with.name, cost.max(1)));
                // Held against the windows that it will be counted in.
                self.windows(&format!("{at}/limits/with"), theirs.map_or(&[][..], |theirs| &theirs.windows), cost);
                continue;
            }
            let windows = self.windows(&format!("{at}/limits/windows"), &limits.windows, cost);
            own.insert(spec.name, Own { windows, cost: cost.max(1), alone: limits.alone });
        }
        let hint = |maker: &mut Self, key: &str, hint: &Option<HintFile>| {
            let at = format!("/limits/hints/{key}");
            let hint = hint.as_ref()?;
            let place = match (&hint.header, &hint.value) {
                (Some(name), None) => Place::Header(name.to_ascii_lowercase()),
                (None, Some(value)) => Place::Value(maker.expression(&format!("{at}/value"), value)?),
                _ => {
                    maker.problem(&at, "the hint stands nowhere, or in two places", "either \"header:\" or \"value:\"");
                    return None;
                }
            };
            Some(Hint { place, unit: hint.unit })
        };
        let hints = Hints {
            dialect: limits.hints.dialect,
            remaining: hint(self, "remaining", &limits.hints.remaining),
            limit: hint(self, "limit", &limits.hints.limit),
            reset: hint(self, "reset", &limits.hints.reset),
            wait: hint(self, "wait", &limits.hints.wait),
            cost: limits.cost.as_ref().and_then(|cost| self.expression("/limits/cost", cost)),
        };
        let retries = file.retries.unwrap_or_default();
        if retries.most > 10 || !(1..=60_000).contains(&retries.pause_ms) {
            self.problem("/retries", "more than anybody waits for", "most up to 10, pause_ms 1 to 60000");
        }
        let breaker = file.breaker.unwrap_or_default();
        self.breaker("/breaker", &breaker);
        let places = file.concurrency.unwrap_or(4).clamp(1, 64);
        let plan = Plan { places, logins: limits.logins, windows, own, shares };
        Limits {
            plan,
            hints,
            retries: RetriesFile { pause_ms: retries.pause_ms.clamp(1, 60_000), ..retries },
            breaker,
            breakers,
        }
    }

    fn breaker(&mut self, at: &str, breaker: &BreakerFile) {
        let percent = |of: u32| (1..=100).contains(&of);
        let times = (1..=3_600).contains(&breaker.window_s) && breaker.open_s <= 3_600;
        if !times || !percent(breaker.failed_percent) || !percent(breaker.slow_percent) || breaker.minimum == 0 {
            let wanted = "window_s 1 to 3600, open_s 0 to 3600, percents 1 to 100, minimum 1 or more";
            self.problem(at, "a breaker that cannot be", wanted);
        }
    }

    fn windows(&mut self, at: &str, files: &[WindowFile], cost: u32) -> Vec<Rate> {
        if files.len() > WINDOWS {
            self.problem(at, format!("found {} windows", files.len()), format!("at most {WINDOWS}"));
        }
        let windows = files.iter().take(WINDOWS).enumerate().map(|(n, file)| {
            let at = format!("{at}/{n}");
            let depth = file.burst.unwrap_or(file.requests);
            let numbers = (1..=MOST).contains(&file.requests) && (1..=MOST).contains(&depth);
            if !numbers || !(1..=LONGEST_S).contains(&file.per_s) {
                let wanted = format!("requests and burst 1 to {MOST}, per_s 1 to {LONGEST_S}");
                self.problem(&at, "a window that cannot be", wanted);
            }
            let kept = file.kept_for_pops.unwrap_or(if depth > 1 { depth.div_ceil(10) } else { 0 });
            if cost.saturating_add(kept) > depth {
                let found = format!(
                    "{depth} are not enough for one request of background work, which costs {cost} and leaves {kept}"
                );
                self.problem(&at, found, "more requests or burst, or less kept_for_pops");
            }
            Rate {
                requests: file.requests.max(1),
                per_us: u64::from(file.per_s.max(1)) * 1_000_000,
                burst: file.burst,
                kept,
            }
        });
        windows.collect()
    }
}
