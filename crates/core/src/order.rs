//! The order in which targets run: after what they wait for, then by priority, then as they are written.

/// What decides when a target runs among others.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its name.
    pub name: &'a str,
    /// The names of the targets that it waits for; those that are not among the others count for nothing.
    pub after: &'a [String],
    /// Higher goes first among those that may go.
    pub priority: i64,
}

/// The positions of `all` in the order in which they run.
///
/// Targets that wait for each other in a circle keep their order behind all others; [`circle`] finds them.
#[must_use]
pub fn order(all: &[Standing<'_>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = (0..all.len()).collect();
    let mut order = Vec::with_capacity(all.len());
    while !waiting.is_empty() {
        let may_go = |&&index: &&usize| {
            let waits = |name: &str| waiting.iter().any(|&other| other != index && all[other].name == name);
            !all[index].after.iter().any(|name| waits(name))
        };
        // Of equals the last is the maximum, and the first is wanted.
        let next = waiting.iter().filter(may_go).rev().max_by_key(|&&index| all[index].priority).copied();
        let Some(next) = next else {
            order.append(&mut waiting);
            break;
        };
        waiting.retain(|&index| index != next);
        order.push(next);
    }
    order
}

/// Targets that wait for each other in a circle, as a way through it that ends where it began; the first one that
/// there is, in the order of `all`.
#[must_use]
pub fn circle<'a>(all: &[Standing<'a>]) -> Option<Vec<&'a str>> {
    // Whoever was left behind once leads into no circle.
    let mut done = vec![false; all.len()];
    for start in 0..all.len() {
        let mut way = vec![(start, 0)];
        while let Some((index, tried)) = way.last_mut() {
            let (index, number) = (*index, *tried);
            let Some(name) = all[index].after.get(number) else {
                done[index] = true;
                way.pop();
                continue;
            };
            *tried += 1;
            let Some(next) = all.iter().position(|other| other.name == name) else { continue };
            if let Some(at) = way.iter().position(|(index, _)| *index == next) {
                let names = way[at..].iter().map(|(index, _)| all[*index].name);
                return Some(names.chain([all[next].name]).collect());
            }
            if !done[next] {
                way.push((next, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is a target: its name, its priority, and what it waits for.
    fn with<T>(lines: &[&str], ask: impl Fn(&[Standing<'_>]) -> T) -> T {
        let parsed: Vec<(&str, i64, Vec<String>)> = lines
            .iter()
            .map(|line| {
                let mut words = line.split(' ');
                let (name, priority) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                (name, priority.parse().unwrap_or_default(), words.map(str::to_owned).collect())
            })
            .collect();
        let all: Vec<Standing<'_>> = parsed
            .iter()
            .map(|(name, priority, after)| Standing { name, after, priority: *priority })
            .collect();
        ask(&all)
    }

    #[test]
    fn targets_go_after_what_they_wait_for_then_by_priority_then_as_written() {
        let table: [(&str, &[&str], &str); 8] = [
            ("as written", &["a 0", "b 0", "c 0"], "a b c"),
            ("a higher priority first", &["a 0", "b 5", "c -1", "d 5"], "b d a c"),
            ("after, against the order of the file", &["a 0 c", "b 0", "c 0"], "b c a"),
            ("waiting counts more than priority", &["a 9 b", "b 0", "c 5"], "c b a"),
            ("a chain", &["a 0 b", "b 0 c", "c 0"], "c b a"),
            ("a fork and a join", &["d 0 b c", "b 1 a", "c 2 a", "a 0"], "a c b d"),
            ("who is not here is not waited for", &["a 0 elsewhere", "b 0"], "a b"),
            ("a circle comes last, and is not lost", &["a 0 b", "b 0 a", "c 0"], "c a b"),
        ];
        for (what, lines, expected) in table {
            let names = with(lines, |all| {
                order(all).into_iter().map(|index| all[index].name).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(names, expected, "{what}");
        }
    }

    #[test]
    fn a_circle_is_found_and_told_from_its_first_to_its_first() {
        let table: [(&[&str], Option<&str>); 6] = [
            (&["a 0", "b 0 a", "c 0 a b"], None),
            (&["a 0 b", "b 0 a"], Some("a -> b -> a")),
            (&["a 0 a"], Some("a -> a")),
            (&["a 0 b", "b 0 c", "c 0 d", "d 0 b"], Some("b -> c -> d -> b")),
            (&["a 0 gone", "b 0 a"], None),
            (&["d 0 b c", "b 0 a", "c 0 a", "a 0"], None),
        ];
        for (lines, expected) in table {
            let found = with(lines, |all| circle(all).map(|names| names.join(" -> ")));
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
    }
}
