//! Curves as SVG beside the result file: what changes with how many requests are in flight, or sessions at rest.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use crate::at_rest::Point;
use crate::outcome::Outcome;
use crate::plan::Work;
use crate::runner::Result;

/// A picture of the curves over requests in flight: its file, what is up, and the figure.
const PLOTS: [(&str, &str, &str); 2] = [
    ("requests.svg", "requests per second", "per_second"),
    ("cpu.svg", "CPU s per million requests, both sides", "cpu_per_million"),
];

/// A name, how strong its colour is, and its points.
type Curve = (String, f64, Vec<Point>);

/// What is said around the curves.
struct Frame<'a> {
    title: &'a str,
    across: &'a str,
    range: Range<f64>,
}

/// Draws what there is of curves. Returns the files.
pub fn draw(result_file: &Path, results: &[Result], at_rest: &[Point]) -> Outcome<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    let mut draw = |file: &str, frame: Frame<'_>, curves: Vec<Curve>| -> Outcome<()> {
        if !curves.is_empty() {
            let path = result_file.with_file_name(file);
            plot(&path, &frame, &curves)?;
            drawn.push(path);
        }
        Ok(())
    };
    for (file, title, figure) in PLOTS {
        let frame =
            Frame { title, across: "requests of 128 bytes in flight", range: 1.0..10_000.0 };
        draw(file, frame, curves(results, figure))?;
    }
    let curve = (!at_rest.is_empty()).then(|| ("EGTP".to_owned(), 1.0, at_rest.to_vec()));
    let frame = Frame { title: "bytes each", across: "sessions at rest", range: 1e3..1e6 };
    draw("sessions.svg", frame, curve.into_iter().collect())?;
    Ok(drawn)
}

fn curves(results: &[Result], figure: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for result in results.iter().filter(|result| Work::CURVE.contains(&result.work)) {
        let Some(spread) = result.spread(figure) else { continue };
        let point = (result.work.load().0 as f64, spread.median);
        let (side, runtime) = (result.row.side.title(), result.row.runtime.word());
        let name = format!("{side} ({runtime})");
        match curves.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., points)) => points.push(point),
            // The default runtime of each is fainter.
            None => curves.push((name, if runtime == "mt" { 0.5 } else { 1.0 }, vec![point])),
        }
    }
    curves
}

fn plot(path: &Path, frame: &Frame<'_>, curves: &[Curve]) -> Outcome<()> {
    let values = || curves.iter().flat_map(|(.., points)| points.iter().map(|point| point.1));
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let area = SVGBackend::new(path, (900, 600)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}, by {}", frame.title, frame.across), ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(frame.range.clone().log_scale(), (low * 0.7..high * 1.4).log_scale())?;
    chart.configure_mesh().x_desc(frame.across).y_desc(frame.title).draw()?;
    for (index, (name, strength, points)) in curves.iter().enumerate() {
        let colour = Palette99::pick(index).mix(*strength);
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        chart.draw_series(line)?.label(name).legend(move |(x, y)| {
            PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
        });
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(area.present()?)
}
