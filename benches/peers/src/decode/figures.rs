//! Rounds of timing, and the table that is made of them.

use serde_json::{Value, json};

/// One pass over the stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// CPU time of the thread for the stream, nanoseconds.
    pub cpu_ns: u64,
    /// Wall time for the stream, nanoseconds.
    pub wall_ns: u64,
    /// CPU time of the thread for the dump, nanoseconds.
    pub dump_cpu_ns: u64,
}

/// All passes of one pipeline.
#[derive(Debug)]
pub struct Figures {
    /// The pipeline.
    pub name: &'static str,
    /// One pass a round.
    pub passes: Vec<Pass>,
}

/// Smallest, middle and largest of some values.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Middle.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |n: usize| values.get(n).copied().unwrap_or(f64::NAN);
        Self { min: at(0), median: at(values.len() / 2), max: at(values.len().saturating_sub(1)) }
    }

    fn json(self) -> Value {
        json!({"min": self.min, "median": self.median, "max": self.max})
    }
}

impl Figures {
    /// Nanoseconds of CPU time a frame.
    #[must_use]
    pub fn frame_ns(&self, frames: usize) -> Spread {
        Spread::of(self.passes.iter().map(|pass| pass.cpu_ns as f64 / frames as f64))
    }

    /// This one's speed in units of `base`'s, round by round.
    #[must_use]
    pub fn against(&self, base: &Self) -> Spread {
        let rounds = self.passes.iter().zip(&base.passes);
        Spread::of(rounds.map(|(own, base)| base.cpu_ns as f64 / own.cpu_ns as f64))
    }

    fn wall_share(&self) -> f64 {
        Spread::of(self.passes.iter().map(|pass| pass.wall_ns as f64 / pass.cpu_ns as f64)).median
    }

    fn dump_ms(&self) -> f64 {
        Spread::of(self.passes.iter().map(|pass| pass.dump_cpu_ns as f64 / 1e6)).median
    }
}

/// The table for people. Ratios are to the first one.
#[must_use]
pub fn table(all: &[Figures], frames: usize) -> String {
    let mut out = String::from(
        "| pipeline | frames/s best | median | worst | ns/frame median (min-max) | speed in units of \
         the first (min-max) | wall/CPU | dump ms |\n|---|---|---|---|---|---|---|---|\n",
    );
    for figures in all {
        let ns = figures.frame_ns(frames);
        let ratio = figures.against(&all[0]);
        out.push_str(&format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} ({:.0}-{:.0}) | {:.3} ({:.3}-{:.3}) | {:.2} | {:.0} |\n",
            figures.name,
            1e9 / ns.min,
            1e9 / ns.median,
            1e9 / ns.max,
            ns.median,
            ns.min,
            ns.max,
            ratio.median,
            ratio.min,
            ratio.max,
            figures.wall_share(),
            figures.dump_ms(),
        ));
    }
    out
}

/// The same for programs.
#[must_use]
pub fn json(all: &[Figures], frames: usize) -> Value {
    let one = |figures: &Figures| {
        json!({
            "pipeline": figures.name,
            "frame_ns": figures.frame_ns(frames).json(),
            "speed_in_units_of_first": figures.against(&all[0]).json(),
            "wall_over_cpu": figures.wall_share(),
            "dump_cpu_ms": figures.dump_ms(),
            "passes_cpu_ns": figures.passes.iter().map(|pass| pass.cpu_ns).collect::<Vec<_>>(),
        })
    };
    Value::Array(all.iter().map(one).collect())
}
