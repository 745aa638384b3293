//! Whether two classes of samples come from one distribution: Welch's t-test, as dudect uses it.
//!
//! <https://eprint.iacr.org/2016/1123>. Whatever interrupts a measurement makes it longer, in both
//! classes alike, and hides what is looked for. So the test is repeated on the faster part of the
//! samples, for several parts, and the greatest t counts.

/// A t from which on the classes differ beyond doubt; dudect's too.
pub(crate) const T_MAX: f64 = 10.0;

/// The greatest t, by its amount, over all samples and over the faster parts of them. Positive when
/// the first class takes longer. `None` if there are too few.
pub(crate) fn greatest_t(classes: &[Vec<f64>; 2]) -> Option<f64> {
    let mut all = classes.concat();
    all.sort_by(f64::total_cmp);
    let parts = PARTS.iter().filter_map(|part| {
        let limit = *all.get((all.len() * part / 100).checked_sub(1)?)?;
        let faster = |class: &Vec<f64>| {
            let moments = Moments::of(class.iter().copied().filter(|sample| *sample <= limit));
            (moments.count >= SAMPLES_MIN).then_some(moments)
        };
        Some(t(&faster(&classes[0])?, &faster(&classes[1])?))
    });
    parts.max_by(|one, other| one.abs().total_cmp(&other.abs()))
}

/// The parts, in percent.
const PARTS: [usize; 6] = [100, 99, 95, 90, 75, 50];

/// Fewer of one class say nothing.
const SAMPLES_MIN: f64 = 30.0;

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(samples: impl Iterator<Item = f64> + Clone) -> Self {
        let count = samples.clone().count() as f64;
        let mean = samples.clone().sum::<f64>() / count;
        let squares: f64 = samples.map(|sample| (sample - mean).powi(2)).sum();
        Self { count, mean, variance: squares / (count - 1.0) }
    }
}

fn t(one: &Moments, other: &Moments) -> f64 {
    let error = (one.variance / one.count + other.variance / other.count).sqrt();
    let difference = one.mean - other.mean;
    // Samples without any spread: either they are the same, or there is no doubt.
    if difference == 0.0 { 0.0 } else { difference / error }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples around `mean`, of which every tenth was interrupted.
    fn samples(mean: f64, seed: u64) -> Vec<f64> {
        let noise = mtproto_benches::noise(10_000, seed);
        let disturbed = noise.iter().zip((0..10).cycle());
        let sample = |(noise, n): (&u8, u32)| {
            mean + f64::from(*noise) + if n == 0 { 1e5 * f64::from(*noise) } else { 0.0 }
        };
        disturbed.map(sample).collect()
    }

    #[test]
    fn a_difference_is_seen_through_interruptions() {
        let t = greatest_t(&[samples(1020.0, 1), samples(1000.0, 2)]).unwrap();
        assert!(t > T_MAX, "{t}");
        let t = greatest_t(&[samples(1000.0, 3), samples(1020.0, 4)]).unwrap();
        assert!(t < -T_MAX, "{t}");
    }

    #[test]
    fn no_difference_is_none() {
        let t = greatest_t(&[samples(1000.0, 5), samples(1000.0, 6)]).unwrap();
        assert!(t.abs() < T_MAX / 2.0, "{t}");
        assert_eq!(greatest_t(&[vec![5.0; 100], vec![5.0; 100]]), Some(0.0));
    }

    #[test]
    fn the_figure_is_that_of_the_textbook() {
        let one = Moments::of([1.0, 2.0, 3.0, 4.0].into_iter());
        let other = Moments::of([2.0, 4.0, 6.0, 8.0].into_iter());
        // Means 2.5 and 5, variances 5/3 and 20/3.
        assert!((t(&one, &other) + 2.5 / (25.0_f64 / 12.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn few_samples_say_nothing() {
        assert_eq!(greatest_t(&[vec![], vec![]]), None);
        assert_eq!(greatest_t(&[vec![1.0; 29], vec![2.0; 500]]), None);
    }
}
