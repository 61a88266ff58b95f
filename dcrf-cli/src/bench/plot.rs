//! Plots as SVG that stands in the page, in the page's colors.

use std::fmt::Write as _;

/// Lines over one axis each way.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) is_log: bool,
    /// The marks of the horizontal axis. Without any, round numbers.
    pub(crate) x_ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
    /// Moments with a name.
    pub(crate) moments: Vec<(f64, &'static str)>,
}

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 704.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 256.0;

/// One direction: from values to places.
struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_log { value.max(self.low).log10() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        self.from + (scale(value) - low) / (high - low) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let powers = std::iter::successors(Some(self.low), |power| Some(power * 10.0));
            return powers.take_while(|power| *power <= self.high * 1.001).collect();
        }
        let step = round_step(self.high / 5.0);
        let steps = std::iter::successors(Some(0.0), |tick| Some(tick + step));
        steps.take_while(|tick| *tick <= self.high * 1.001).collect()
    }
}

/// The next of 1, 2, 5, 10, 20 … that is not smaller.
fn round_step(size: f64) -> f64 {
    let power = 10_f64.powf(size.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|step| step * power)
        .into_iter()
        .find(|step| *step >= size)
        .unwrap_or(power * 10.0)
}

impl Plot {
    /// Nothing if there is nothing to show.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            return String::new();
        }
        let x_max = points().map(|point| point.0).fold(1.0, f64::max);
        let x = Axis { low: 0.0, high: x_max, is_log: false, from: LEFT, to: RIGHT };
        let y = self.y_axis(points().map(|point| point.1));
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n",
            title = escape(self.title)
        );
        self.grid(&x, &y, &mut svg);
        for (at, name) in &self.moments {
            let place = x.place(*at);
            let _ = writeln!(
                svg,
                "<line class=\"moment\" x1=\"{place:.1}\" y1=\"{TOP}\" x2=\"{place:.1}\" y2=\"{BOTTOM}\"/>\
                 <text class=\"moment\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                place + 4.0,
                TOP - 4.0,
                escape(name)
            );
        }
        for (nth, line) in self.lines.iter().enumerate() {
            let places = line
                .points
                .iter()
                .map(|(at, value)| format!("{:.1},{:.1}", x.place(*at), y.place(*value)));
            let places: Vec<_> = places.collect();
            let _ = writeln!(
                svg,
                "<polyline class=\"c{nth}\" points=\"{}\"><title>{}</title></polyline>",
                places.join(" "),
                escape(line.name)
            );
        }
        svg.push_str("</svg>\n");
        self.figure(&svg)
    }

    fn y_axis(&self, values: impl Iterator<Item = f64>) -> Axis {
        let values: Vec<_> = values.collect();
        let highest = values.iter().copied().fold(0.0, f64::max);
        let (low, high) = if self.is_log {
            let lowest =
                values.iter().copied().filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
            let low = 10_f64.powf(lowest.min(highest.max(0.001)).log10().floor());
            (low, 10_f64.powf(highest.log10().ceil()).max(low * 10.0))
        } else {
            let step = round_step((highest / 5.0).max(0.2));
            (0.0, (highest / step).ceil().max(1.0) * step)
        };
        Axis { low, high, is_log: self.is_log, from: BOTTOM, to: TOP }
    }

    fn grid(&self, x: &Axis, y: &Axis, svg: &mut String) {
        for tick in y.ticks() {
            let place = y.place(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{place:.1}\" x2=\"{RIGHT}\" y2=\"{place:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                place + 4.0,
                number(tick)
            );
        }
        let ticks = if self.x_ticks.is_empty() {
            x.ticks().into_iter().map(|tick| (tick, number(tick))).collect()
        } else {
            self.x_ticks.clone()
        };
        for (tick, label) in ticks.iter().filter(|(tick, _)| *tick <= x.high) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x.place(*tick),
                BOTTOM + 18.0,
                escape(label)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"0\" y=\"14\">{}</text>",
            f64::midpoint(LEFT, RIGHT),
            HEIGHT - 6.0,
            escape(self.x),
            escape(self.y)
        );
    }

    /// The plot with its title, and the names of the lines if there are several.
    fn figure(&self, svg: &str) -> String {
        let names = self.lines.iter().enumerate().map(|(nth, line)| {
            format!("<span class=\"c{nth}\"><i></i>{}</span>", escape(line.name))
        });
        let names: String = names.collect();
        format!(
            "<figure><figcaption><b>{}</b>{names}</figcaption>\n{svg}</figure>\n",
            escape(self.title)
        )
    }
}

fn number(value: f64) -> String {
    if value >= 1000.0 {
        return super::numbers::short(value);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The text for HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, is_log: bool) -> Axis {
        Axis { low, high, is_log, from: 100.0, to: 0.0 }
    }

    #[test]
    fn values_have_their_places() {
        let linear = axis(0.0, 50.0, false);
        assert_eq!([0.0, 25.0, 50.0].map(|value| number(linear.place(value))), ["100", "50", "0"]);
        let ticks: Vec<_> = linear.ticks().into_iter().map(number).collect();
        assert_eq!(ticks, ["0", "10", "20", "30", "40", "50"]);
        let log = axis(0.1, 1000.0, true);
        let places = [0.1, 10.0, 1000.0, 0.0].map(|value| number(log.place(value)));
        assert_eq!(places, ["100", "50", "0", "100"]);
        assert_eq!(log.ticks().len(), 5);
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.9, 1.0, 3.0, 6.0, 120.0].map(|size| number(round_step(size)));
        assert_eq!(steps, ["1", "1", "5", "10", "200"]);
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.001, 0.1, 5.0, 20_000.0].map(number), ["0.001", "0.1", "5", "20,000"]);
    }
}
