//! The picture of the README: a recorded session as an SVG that needs no script. `DCRF_PICTURE=dcrf-cli/picture.svg` writes
//! it.

use std::fmt::Write as _;

use dcrf_tests::server::Server;
use vt100::{Cell, Color};

use crate::command::Dcrf;

const COLS: u16 = 84;
const ROWS: u16 = 20;
/// The size of a cell in pixels.
const CELL: (f32, f32) = (8.4, 18.0);

/// The colors of the first 8 indices, on a dark background.
const PALETTE: [&str; 8] =
    ["#6e7681", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9"];
const FOREGROUND: &str = "#c9d1d9";
const BACKGROUND: &str = "#0d1117";

/// Screens, each with the seconds for which it is shown.
#[derive(Default)]
struct Recording(Vec<(String, f32)>);

impl Recording {
    fn add(&mut self, screen: &vt100::Screen, seconds: f32) {
        let mut group = String::new();
        for row in 0..ROWS {
            draw_row(screen, row, &mut group);
        }
        self.0.push((group, seconds));
    }

    fn svg(&self) -> String {
        let (width, height) = (f32::from(COLS) * CELL.0 + 20.0, f32::from(ROWS) * CELL.1 + 20.0);
        let total: f32 = self.0.iter().map(|(_, seconds)| seconds).sum();
        let mut style =
            String::from("text{font:14px monospace;white-space:pre}g{visibility:hidden}");
        let (mut groups, mut began) = (String::new(), 0.0);
        for (at, (group, seconds)) in self.0.iter().enumerate() {
            let (from, to) = (100.0 * began / total, 100.0 * (began + seconds) / total);
            let _ = write!(
                style,
                "@keyframes f{at}{{0%{{visibility:hidden}}{from:.2}%{{visibility:visible}}{to:.2}%{{visibility:hidden}}}}\
                 #f{at}{{animation:f{at} {total}s step-end infinite}}"
            );
            let _ = writeln!(groups, "<g id=\"f{at}\">{group}</g>");
            began += seconds;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"A session with dcrf\"><style>{style}</style>\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n{groups}</svg>\n"
        )
    }
}

/// Draws runs of cells of one style.
fn draw_row(screen: &vt100::Screen, row: u16, out: &mut String) {
    let mut col = 0;
    while col < COLS {
        let first = screen.cell(row, col).unwrap();
        let mut text = String::new();
        let from = col;
        while col < COLS {
            let cell = screen.cell(row, col).unwrap();
            if style(cell) != style(first) {
                break;
            }
            if !cell.is_wide_continuation() {
                text.push_str(if cell.has_contents() { cell.contents() } else { " " });
            }
            col += 1;
        }
        draw_run((row, from, col - from), &text, style(first), out);
    }
}

/// Foreground, background and whether it is bold.
fn style(cell: &Cell) -> (Color, Color, bool, bool) {
    (cell.fgcolor(), cell.bgcolor(), cell.bold(), cell.inverse())
}

fn draw_run(
    (row, col, count): (u16, u16, u16),
    text: &str,
    (foreground, background, is_bold, is_inverse): (Color, Color, bool, bool),
    out: &mut String,
) {
    let (x, y) = (10.0 + f32::from(col) * CELL.0, 10.0 + f32::from(row) * CELL.1);
    let (mut foreground, mut background) =
        (color(foreground, FOREGROUND), color(background, BACKGROUND));
    if is_inverse {
        std::mem::swap(&mut foreground, &mut background);
    }
    let width = f32::from(count) * CELL.0;
    if background != BACKGROUND {
        let height = CELL.1;
        let _ = write!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{background}\"/>"
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let weight = if is_bold { " font-weight=\"bold\"" } else { "" };
    let baseline = y + 13.0;
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{width:.1}\" fill=\"{foreground}\"{weight} xml:space=\"preserve\">{text}</text>"
    );
}

fn color(color: Color, default: &str) -> String {
    match color {
        Color::Default => default.to_owned(),
        Color::Idx(index) => PALETTE[usize::from(index % 8)].to_owned(),
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}

/// Runs the commands on one screen, as a shell shows them.
fn record_commands(dcrf: &Dcrf, commands: &[&[&str]], recording: &mut Recording) {
    let mut shown = vt100::Parser::new(ROWS, COLS, 0);
    for arguments in commands {
        shown.process(b"\x1b[32m$\x1b[0m ");
        let typed = arguments.iter().map(|argument| {
            if argument.contains(' ') { format!("'{argument}'") } else { (*argument).to_owned() }
        });
        shown.process(format!("dcrf {}\r\n", typed.collect::<Vec<_>>().join(" ")).as_bytes());
        recording.add(shown.screen(), 1.0);
        let mut screen = dcrf.start_in_terminal(arguments, (COLS, ROWS), &[]);
        screen.wait();
        shown.process(screen.received());
        recording.add(shown.screen(), 2.5);
    }
}

#[test]
fn session_is_recorded() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let mut recording = Recording::default();
    let commands: [&[&str]; 3] = [
        &["list", "tasks"],
        &["create", "tasks", "title=Write docs", "priority:=3"],
        &["create", "tasks", "priority=high"],
    ];
    record_commands(&dcrf, &commands, &mut recording);

    let mut live = dcrf.start_in_terminal(&["watch", "tasks", "--live"], (COLS, ROWS), &[]);
    live.expect_text(&["live", "Write docs"]);
    recording.add(live.screen(), 2.0);
    for (key, title) in [(2, "Ship 0.1"), (4, "Answer issues"), (1, "Plan 0.2")] {
        dcrf.run(&["patch", "tasks", &key.to_string(), &format!("title={title}"), "done:=true"])
            .assert_code(0);
        live.expect_text(&[title]);
        recording.add(live.screen(), 1.2);
    }
    server.kill().unwrap();
    live.expect_text(&["out of date"]);
    recording.add(live.screen(), 2.0);
    server.restart().unwrap();
    dcrf.run(&["create", "tasks", "title=Made while it was away"]).assert_code(0);
    live.expect_text(&["live", "Made while it was away"]);
    recording.add(live.screen(), 3.0);
    live.press("q");
    assert_eq!(live.wait(), 0);

    let svg = recording.svg();
    assert_eq!(svg.matches("<g id=").count(), svg.matches("</g>").count());
    for text in ["This field is required.", "Write docs", "Answer issues", "Made while it was away"]
    {
        assert!(svg.contains(text), "{text}");
    }
    if let Some(path) = std::env::var_os("DCRF_PICTURE") {
        // Tests run in the crate's folder.
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
        std::fs::write(path, svg).unwrap();
    }
}
