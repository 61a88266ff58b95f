//! The report as one page with plots: no scripts, and nothing from elsewhere.

use std::fmt::Write as _;

use super::measure::Latency;
use super::numbers::{group, short};
use super::plot::{Line, Plot, escape};
use super::report::{Encoded, Report, Sample, milliseconds};

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2933;--dim:#5c6670;--grid:#e4e7eb;--c0:#1d5fbf;--c1:#b4500c;--c2:#127a5a;
--c3:#8a3ab9;--c4:#b3264a;--c5:#6b6f00;--c6:#5c6670}
@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e4e7eb;--dim:#9aa5b1;--grid:#323f4b;--c0:#6ea8fe;--c1:#f0944d;
--c2:#4cc59b;--c3:#c792ea;--c4:#f2768f;--c5:#c9c04a;--c6:#9aa5b1}}
body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:780px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin:0}p{color:var(--dim)}table{border-collapse:collapse;margin:1em 0;width:100%}
th,td{text-align:right;padding:.3em .6em;border-bottom:1px solid var(--grid);font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}td.text{text-align:left}td small{display:block;color:var(--dim)}
figure{margin:2em 0}figcaption span{margin-left:1em;white-space:nowrap}figcaption i{display:inline-block;width:1em;height:3px;
margin-right:.4em;vertical-align:middle;background:var(--c)}svg{width:100%;height:auto}
svg text{fill:var(--dim);font-size:12px}svg .grid{stroke:var(--grid)}svg line.moment{stroke:var(--dim);stroke-dasharray:4 3}
svg polyline{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}.c6{--c:var(--c6)}
.scroll{overflow-x:auto}pre{white-space:pre-wrap}
";

/// The page. It is well-formed XML too.
pub(crate) fn page(report: &Report) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>dcrf bench: {server}</title>\n<style>{STYLE}</style></head>\n<body><h1>dcrf bench</h1>\n",
        server = escape(&report.server)
    );
    facts(report, &mut page);
    latencies(report, &mut page);
    for plot in [percentiles(report), rates(report), events(report), p99(report), clients(report)] {
        page.push_str(&plot.svg());
    }
    details(report, &mut page);
    page.push_str("</body></html>\n");
    page
}

fn facts(report: &Report, page: &mut String) {
    page.push_str("<table>");
    for (name, text) in report.facts() {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"text\">{}</td></tr>",
            escape(name),
            escape(&text)
        );
    }
    page.push_str("</table>\n");
}

fn latencies(report: &Report, page: &mut String) {
    page.push_str(
        "<div class=\"scroll\"><table><tr><th>latency in ms</th><th>count</th><th>p50</th><th>p90</th><th>p99</th>\
         <th>p99.9</th><th>max</th></tr>\n",
    );
    for latency in Latency::ALL {
        let Some(of) = report.latencies.get(latency.key()).filter(|of| of.count > 0) else {
            continue;
        };
        let _ = write!(
            page,
            "<tr><td>{}<small>{}</small></td><td>{}</td>",
            latency.title(),
            latency.meaning(),
            group(of.count)
        );
        for value in [of.p50, of.p90, of.p99, of.p999, of.max] {
            let _ = write!(page, "<td>{}</td>", short(value));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

fn details(report: &Report, page: &mut String) {
    if !report.causes.is_empty() {
        page.push_str("<h2>Failures</h2>\n<table>");
        for (cause, count) in &report.causes {
            let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", escape(cause), group(*count));
        }
        page.push_str("</table>\n");
    }
    page.push_str("<h2>Options</h2>\n");
    for machine in &report.machines {
        let options: Vec<_> =
            machine.options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let _ = writeln!(page, "<pre>{}</pre>", escape(&options.join("; ")));
    }
    page.push_str(
        "<p>Requests and writes have a fixed schedule, and their latencies count from when they are due. Of several \
         machines, counts are sums, and the p99 of a second is the highest of theirs.</p>\n",
    );
}

/// The latencies by percentile, which spread towards 100.
fn percentiles(report: &Report) -> Plot {
    let mut lines = Vec::new();
    for latency in Latency::ALL {
        let Some(Encoded(of)) = report.histograms.get(latency.key()) else { continue };
        // Beyond one of all values there is nothing to see.
        let furthest = round_down_log10(of.len());
        let steps = (0..=100_u32).map(|step| f64::from(step) / 20.0).take_while(|x| *x <= furthest);
        let point = |x: f64| (x, milliseconds(of.value_at_quantile(1.0 - 10_f64.powf(-x))));
        if !of.is_empty() {
            lines.push(Line { name: latency.title(), points: steps.map(point).collect() });
        }
    }
    let ticks = ["0", "90", "99", "99.9", "99.99", "99.999"];
    Plot {
        title: "Latency by percentile",
        x: "percentile",
        y: "ms",
        is_log: true,
        x_ticks: ticks.iter().zip(0_u32..).map(|(tick, at)| (at.into(), (*tick).into())).collect(),
        lines,
        moments: Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "only for a plot")]
fn round_down_log10(count: u64) -> f64 {
    (count.max(1) as f64).log10()
}

fn rates(report: &Report) -> Plot {
    let lines = [
        line(report, "requests sent", |second| second.requests),
        line(report, "replies", |second| second.replies),
        line(report, "writes sent", |second| second.writes),
    ];
    over_time(report, "Requests and writes", "per second", lines.into())
}

fn events(report: &Report) -> Plot {
    over_time(report, "Events", "per second", vec![line(report, "events", |second| second.events)])
}

fn p99(report: &Report) -> Plot {
    let points = |value: fn(&Sample) -> f64| {
        let points =
            report.seconds.iter().zip(1_u32..).map(|(second, at)| (at.into(), value(second)));
        points.filter(|(_, value)| *value > 0.0).collect::<Vec<_>>()
    };
    let lines = vec![
        Line { name: "request", points: points(|second| second.request_p99) },
        Line { name: "write to event", points: points(|second| second.event_p99) },
    ];
    Plot { is_log: true, ..over_time(report, "p99 of each second", "ms", lines) }
}

fn clients(report: &Report) -> Plot {
    let connected = Line { name: "connected", points: points(report, |second| second.connected) };
    let live = Line { name: "ready", points: points(report, |second| second.live) };
    over_time(report, "Clients", "clients", vec![connected, live])
}

/// A line that is left out if nothing happens.
fn line(report: &Report, name: &'static str, value: fn(&Sample) -> u64) -> Line {
    let is_empty = report.seconds.iter().all(|second| value(second) == 0);
    Line { name, points: if is_empty { Vec::new() } else { points(report, value) } }
}

#[expect(clippy::cast_precision_loss, reason = "only for a plot")]
fn points(report: &Report, value: fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let points = report.seconds.iter().zip(1_u32..);
    points.map(|(second, at)| (at.into(), value(second) as f64)).collect()
}

fn over_time(report: &Report, title: &'static str, y: &'static str, lines: Vec<Line>) -> Plot {
    let mut moments = Vec::new();
    if let [machine] = report.machines.as_slice() {
        moments.push((machine.load_from, "load begins"));
        if let Some(outage) = report.outage {
            moments.push((outage.announced, "restart"));
        }
    }
    let lines = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    Plot {
        title,
        x: "seconds since the start",
        y,
        is_log: false,
        x_ticks: Vec::new(),
        lines,
        moments,
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use roxmltree::{Document, ParsingOptions};
    use serde_json::Map;

    use super::*;
    use crate::bench::measure::histogram;
    use crate::bench::report::{Machine, Outage};

    fn report(seconds: usize) -> Report {
        let machine = Machine {
            run: "a".into(),
            started: 1,
            options: Map::from_iter([("request".into(), "list <tasks> & more".into())]),
            load_from: 1.0,
            load: 2.0,
            peak_memory: None,
        };
        let mut report = Report::new("ws://server/a&b<c>".into(), machine);
        let mut times = histogram().unwrap();
        (1..=20_000_u64).for_each(|n| times.record(n * 50).unwrap());
        report.set_histograms(IndexMap::from([("request".into(), Encoded(times))]));
        report.causes.insert("lost connection: \u{1b}\"<&>\"".into(), 3);
        let sample =
            Sample { connected: 5, live: 4, requests: 7, request_p99: 1.5, ..Sample::default() };
        report.seconds = vec![sample; seconds];
        report.outage = Some(Outage { announced: 2.0, first_loss: None, time_to_converge: None });
        report
    }

    fn parsed(page: &str, check: impl FnOnce(&Document)) {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let page = page.replace("<!DOCTYPE html>", "");
        check(&Document::parse_with_options(&page, options).unwrap());
    }

    #[test]
    fn page_is_well_formed_and_has_its_plots() {
        let page = page(&report(30));
        assert!(
            !page.contains("<script") && !page.contains("http://") && !page.contains("https://")
        );
        parsed(&page, |document| {
            let titles: Vec<_> = document
                .descendants()
                .filter(|node| node.has_tag_name("svg"))
                .filter_map(|svg| svg.attribute("aria-label"))
                .collect();
            let expected =
                ["Latency by percentile", "Requests and writes", "p99 of each second", "Clients"];
            assert_eq!(titles, expected);
            for points in document.descendants().filter_map(|node| node.attribute("points")) {
                for number in points.split([' ', ',']) {
                    let number: f64 = number.parse().unwrap();
                    assert!((0.0..=720.0).contains(&number), "{points}");
                }
            }
        });
    }

    #[test]
    fn run_without_data_has_a_page_too() {
        let machine = report(0).machines.remove(0);
        parsed(&page(&Report::new("ws://server/".into(), machine)), |document| {
            assert!(!document.descendants().any(|node| node.has_tag_name("svg")));
        });
    }

    fn number_of(value: f64) -> String {
        format!("{value:.1}")
    }

    #[test]
    fn percentiles_end_where_the_values_do() {
        let plot = percentiles(&report(1));
        let points = &plot.lines[0].points;
        // 20,000 values have no 99.999th percentile.
        assert_eq!(number_of(points.last().unwrap().0), "4.3");
        assert!((points[0].1 - 0.05).abs() < 0.001, "{points:?}");
        let (_, p99) = points[40];
        assert!((989.0..992.0).contains(&p99), "{p99}");
    }
}
