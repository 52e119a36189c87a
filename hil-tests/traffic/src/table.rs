//! Scores as a table.

use std::fmt::Write;

use crate::score::{Score, Share};

/// A table with a column for each method.
pub fn table(columns: &[(&str, &Score)]) -> String {
    let mut text = format!("{:34}", "");
    for (name, _) in columns {
        let _ = write!(text, "{name:>18}");
    }
    text.push('\n');
    let mut row = |name: &str, value: &dyn Fn(&Score) -> String| {
        let _ = write!(text, "{name:34}");
        for (_, score) in columns {
            let _ = write!(text, "{:>18}", value(score));
        }
        text.push('\n');
    };
    let percent = |share: Share| format!("{:.2} %", share.percent());
    row("observations", &|score| score.observations.all.to_string());
    row("  in the right place", &|score| percent(score.observations));
    row("vehicles", &|score| score.vehicles.to_string());
    row("  packet pure", &|score| percent(score.pure));
    row("  packet complete", &|score| percent(score.complete));
    row("  pure and complete", &|score| percent(score.pure_and_complete));
    row("  without a passage", &|score| score.without_passage.to_string());
    row("passages", &|score| score.passages.to_string());
    row("  false", &|score| {
        let right = score.passages - score.false_passages;
        let share = Share { right, all: score.passages };
        format!("{} = {:.2} %", score.false_passages, 100.0 - share.percent())
    });
    row("    of nothing", &|score| score.ghost_passages.to_string());
    row("alarms", &|score| score.alarms.all.to_string());
    row("  right", &|score| score.alarms.right.to_string());
    row("  on a wrong vehicle", &|score| score.alarms.wrong.to_string());
    row("    which has none of its own", &|score| score.alarms.wrong_innocent.to_string());
    row("  referred (several named)", &|score| score.alarms.referred.to_string());
    row("  lost as orphans", &|score| score.alarms.lost.to_string());
    row("orphans", &|score| score.orphans.to_string());
    row("observations marked doubtful", &|score| score.doubtful.to_string());
    row("seconds until sealed, median", &|score| seconds(score.sealed_s(0.5)));
    row("seconds until sealed, 95 %", &|score| seconds(score.sealed_s(0.95)));
    row("observations lost or doubled", &|score| score.lost_or_doubled.to_string());
    let mut sections: Vec<(&str, Vec<String>)> = Vec::new();
    if let Some((_, first)) = columns.first() {
        sections.push(("right, by kind of reading", first.by_kind.keys().cloned().collect()));
        sections.push((
            "right, by what is special",
            first.by_cause.keys().map(|key| (*key).to_owned()).collect(),
        ));
        if first.by_layout.len() > 1 {
            sections.push(("right, by layout", first.by_layout.keys().cloned().collect()));
        }
    }
    for (section, (title, names)) in sections.iter().enumerate() {
        row(title, &|_| String::new());
        for name in names {
            row(&format!("  {name}"), &|score| {
                let share = match section {
                    0 => score.by_kind.get(name),
                    1 => score.by_cause.get(name.as_str()),
                    _ => score.by_layout.get(name),
                };
                share.map_or(String::new(), |share| {
                    format!("{:.2} % {:>7}", share.percent(), format!("-{}", share.all - share.right))
                })
            });
        }
    }
    text
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.1}"))
}
