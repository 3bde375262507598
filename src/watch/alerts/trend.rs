//! Where a figure is going: a straight line through what was seen lately (least squares), and when it meets a limit. No more than that, so that everybody can check it.

use std::collections::VecDeque;

use crate::words::Wall;

/// Looked at is this long; a line through less than two minutes or eight points says nothing.
pub const LOOKED_AT_MS: u64 = 600_000;
const LEAST_MS: u64 = 120_000;
const LEAST: usize = 8;
const MOST: usize = 100;

#[derive(Clone, Debug, Default)]
pub struct Trend {
    seen: VecDeque<(Wall, f64)>,
}

impl Trend {
    pub fn saw(&mut self, now: Wall, value: f64) {
        // A figure that fell by half began anew (a window that rolled, a counter that was reset): what was before tells nothing of it.
        if self.seen.back().is_some_and(|(at, last)| value < last / 2.0 || now < *at) {
            self.seen.clear();
        }
        self.seen.push_back((now, value));
        while self.seen.len() > MOST || self.seen.front().is_some_and(|(at, _)| now.since(*at) > LOOKED_AT_MS) {
            self.seen.pop_front();
        }
    }

    /// In how many minutes it reaches `limit` if it goes on like this; `None` where it does not, or too little was seen.
    #[must_use]
    pub fn minutes_to(&self, limit: f64) -> Option<f64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        if self.seen.len() < LEAST || last.0.since(first.0) < LEAST_MS {
            return None;
        }
        let n = self.seen.len() as f64;
        let minutes = |at: Wall| at.since(first.0) as f64 / 60_000.0;
        let (mut x, mut y) = (0.0, 0.0);
        for (at, value) in &self.seen {
            x += minutes(*at) / n;
            y += value / n;
        }
        let (mut xy, mut xx) = (0.0, 0.0);
        for (at, value) in &self.seen {
            xy += (minutes(*at) - x) * (value - y);
            xx += (minutes(*at) - x).powi(2);
        }
        let slope = xy / xx;
        if !slope.is_finite() || slope <= 0.0 {
            return None;
        }
        Some(((limit - last.1) / slope).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_meets_its_limit_and_what_does_not_rise_meets_none() {
        let mut trend = Trend::default();
        for n in 0..40_i32 {
            // 50 a minute, with some noise.
            trend.saw(Wall(i64::from(n) * 15_000), f64::from(n) * 12.5 + f64::from(n % 3));
            if n < 8 {
                assert_eq!(trend.minutes_to(1_000.0), None);
            }
        }
        let minutes = trend.minutes_to(1_187.5).unwrap();
        assert!((minutes - 14.0).abs() < 0.2, "{minutes}");
        assert_eq!(trend.minutes_to(10.0), Some(0.0));
        // It begins anew.
        trend.saw(Wall(600_000), 3.0);
        assert_eq!(trend.minutes_to(1_000.0), None);
        let mut flat = Trend::default();
        (0..40).for_each(|n| flat.saw(Wall(n * 15_000), 7.0));
        assert_eq!(flat.minutes_to(10.0), None);
        // A clock that goes back is no line.
        flat.saw(Wall(0), 8.0);
        assert_eq!(flat.minutes_to(10.0), None);
    }
}
