//! Two times side by side: what changed, and whether it may be chance.

use super::{
    CASES,
    answer::{Compared, Figure, Interval, Method, Verdict},
    definitions::Unit,
    figures::Id,
    tally::float,
};

/// 95 of 100.
const Z: f64 = 1.959_964;

/// Where the true share lies (Wilson 1927); `None`: of nothing.
#[must_use]
pub fn wilson(yes: u64, of: u64) -> Option<Interval> {
    if of == 0 {
        return None;
    }
    let (n, p, z2) = (float(of), float(yes) / float(of), Z * Z);
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let reach = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let (low, high) = ((middle - reach).max(0.0), (middle + reach).min(1.0));
    Some(Interval { low, high, method: Method::Wilson })
}

/// Each figure that both times have.
#[must_use]
pub fn compare(before: &[Figure], after: &[Figure]) -> Vec<Compared> {
    let pairs = after.iter().filter_map(|after| {
        let before = before.iter().find(|before| before.figure == after.figure)?;
        Some(one(before.clone(), after.clone()))
    });
    pairs.collect()
}

fn one(before: Figure, after: Figure) -> Compared {
    let figure = after.figure;
    let told = |figure: &Figure| match figure.percentiles {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a call")]
        Some(percentiles) => Some(percentiles.median as f64),
        None => figure.value,
    };
    let difference = told(&before).zip(told(&after)).map(|(before, after)| after - before);
    let judged = !matches!(figure.unit(), Unit::Count) && figure != Id::Occupancy;
    let few = before.n < CASES || after.n < CASES;
    let interval = difference.filter(|_| judged && !few).and_then(|difference| interval(difference, &before, &after));
    let verdict = judged.then_some(match interval {
        None => Verdict::TooFew,
        Some(interval) if interval.low > 0.0 => Verdict::Higher,
        Some(interval) if interval.high < 0.0 => Verdict::Lower,
        Some(_) => Verdict::NotShown,
    });
    Compared { figure, before, after, difference, interval, verdict }
}

fn interval(difference: f64, before: &Figure, after: &Figure) -> Option<Interval> {
    let (b, a) = (before.interval?, after.interval?);
    if after.percentiles.is_some() {
        // The standard error of each median from its own interval.
        let error = |i: Interval| (i.high - i.low) / (2.0 * Z);
        let reach = Z * error(b).hypot(error(a));
        return Some(Interval { low: difference - reach, high: difference + reach, method: Method::PriceBonett });
    }
    let (vb, va) = (before.value?, after.value?);
    let (low, high) = (difference - (va - a.low).hypot(b.high - vb), difference + (a.high - va).hypot(vb - b.low));
    let method = if a.method == Method::Wilson { Method::Newcombe } else { Method::Normal };
    Some(Interval { low, high, method })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(yes: u64, n: u64) -> Figure {
        Figure::new(Id::ServiceLevel, Unit::Share, n, Some(float(yes) / float(n))).with(wilson(yes, n))
    }

    fn near(interval: Option<Interval>, low: f64, high: f64) {
        let Interval { low: l, high: h, .. } = interval.unwrap();
        assert!((l - low).abs() < 0.000_1 && (h - high).abs() < 0.000_1, "{l} to {h}, not {low} to {high}");
    }

    /// Newcombe 1998, Statistics in Medicine 17: 857 (Wilson) and 873 (method 10).
    #[test]
    fn the_papers_own_examples() {
        near(wilson(81, 263), 0.2553, 0.3662);
        near(wilson(15, 148), 0.0624, 0.1605);
        near(wilson(0, 20), 0.0, 0.1611);
        near(wilson(1, 29), 0.0061, 0.1718);
        assert_eq!(wilson(0, 0), None);
        near(one(share(48, 80), share(56, 70)).interval, 0.0524, 0.3339);
    }

    #[test]
    fn there_is_no_verdict_of_few_cases_and_none_of_counts() {
        let verdict = |before, after| one(before, after).verdict;
        assert_eq!(verdict(share(48, 80), share(56, 70)), Some(Verdict::Higher));
        assert_eq!(verdict(share(56, 70), share(48, 80)), Some(Verdict::Lower));
        assert_eq!(verdict(share(48, 80), share(49, 80)), Some(Verdict::NotShown));
        assert_eq!(verdict(share(0, 29), share(70, 70)), Some(Verdict::TooFew));
        let calls = |n| Figure::new(Id::Calls, Unit::Count, n, Some(float(n)));
        let compared = one(calls(100), calls(900));
        assert_eq!((compared.verdict, compared.difference), (None, Some(800.0)));
    }
}
