//! The clock: how active people are over the hours of the week, as `docs/generator.md` defines it.

pub const HOURS: usize = 168;
/// Rates are in units of 2⁻¹² of the mean rate, from 1/64 to 64 times that.
const RATE_BITS: u32 = 12;
const LEAST_RATE: u64 = 1 << (RATE_BITS - 6);
const LARGEST_RATE: u64 = 1 << (RATE_BITS + 6);
/// The week's activity is cut into so many pieces, to find an hour by.
const PIECES: usize = 512;

/// ⌊x·y / 2¹²⌋.
#[inline]
fn scaled(x: u64, y: u64) -> u64 {
    ((u128::from(x) * u128::from(y)) >> RATE_BITS) as u64
}

/// How active people are in each hour of the week, and what time it is when they have done so much.
pub struct Clock {
    hour: u64,
    rates: [u64; HOURS],
    /// The time that a unit of activity takes in each hour, in units of 2⁻¹².
    back: [u64; HOURS],
    /// The activity before each hour of the week, and that of a whole week.
    before: [u64; HOURS + 1],
    /// The hour in which each piece of the week's activity begins; a piece has 2^`piece_bits` units.
    guide: [u8; PIECES],
    piece_bits: u32,
}

impl Clock {
    /// `hour` is the number of ticks in an hour.
    pub fn new(hour: u64, times: impl Iterator<Item = i64>) -> Self {
        let (mut counts, mut total) = ([0_u64; HOURS], 0);
        for time in times {
            counts[(time as u64 / hour % HOURS as u64) as usize] += 1;
            total += 1;
        }
        let scale = HOURS as u64 * (1 << RATE_BITS);
        let rates = counts.map(|count| (count * scale / total.max(1)).clamp(LEAST_RATE, LARGEST_RATE));
        let mut before = [0; HOURS + 1];
        for (number, rate) in rates.iter().enumerate() {
            before[number + 1] = before[number] + scaled(hour, *rate);
        }
        let piece_bits = (before[HOURS].max(1).ilog2() + 1).saturating_sub(PIECES.ilog2());
        let guide = std::array::from_fn(|piece| {
            let activity = (piece as u64) << piece_bits;
            // Pieces after the end of the week are not asked for.
            before[1..].partition_point(|&before| before <= activity) as u8
        });
        Self { hour, rates, back: rates.map(|rate| (1 << (2 * RATE_BITS)) / rate), before, guide, piece_bits }
    }

    /// The number of ticks in an hour.
    pub fn hour(&self) -> u64 {
        self.hour
    }

    /// The activity up to a time.
    #[inline]
    pub fn activity(&self, time: u64) -> u64 {
        let (hours, rest) = (time / self.hour, time % self.hour);
        let (week, hour) = (hours / HOURS as u64, (hours % HOURS as u64) as usize);
        week * self.before[HOURS] + self.before[hour] + scaled(rest, self.rates[hour])
    }

    /// The time at which there has been that much activity.
    #[inline]
    pub fn time(&self, activity: u64) -> u64 {
        let (week, rest) = (activity / self.before[HOURS], activity % self.before[HOURS]);
        let mut hour = usize::from(self.guide[(rest >> self.piece_bits) as usize]);
        while self.before[hour + 1] <= rest {
            hour += 1;
        }
        let within = scaled(rest - self.before[hour], self.back[hour]).min(self.hour - 1);
        (week * HOURS as u64 + hour as u64) * self.hour + within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_guide_finds_the_last_hour_that_has_begun(
            hour in prop_oneof![1_u64..10, 3_000_u64..4_000, Just(1_u64 << 45)],
            times in prop::collection::vec(0..1_i64 << 50, 0..300),
            shares in prop::collection::vec(0.0..1.0_f64, 50),
        ) {
            let clock = Clock::new(hour, times.into_iter());
            let week = clock.before[HOURS];
            let near = clock.before.iter().flat_map(|&before| [before.saturating_sub(1), before, before + 1]);
            let anywhere = shares.into_iter().map(|share| (share * week as f64) as u64);
            for rest in near.chain(anywhere).filter(|&rest| rest < week) {
                let expected = clock.before.partition_point(|&before| before <= rest) - 1;
                let begin = (3 * HOURS as u64 + expected as u64) * hour;
                let time = clock.time(3 * week + rest);
                prop_assert!((begin..begin + hour).contains(&time));
            }
        }
    }
}
