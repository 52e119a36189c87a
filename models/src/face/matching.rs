//! One face against one, and one against many. A person may have several templates: the best one counts.

use super::Template;

/// A person of a list and how alike the face is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match<P> {
    /// Who.
    pub person: P,
    /// Cosine of the person's best template, -1 to 1.
    pub similarity: f32,
}

/// The likeness of `probe` to a person's templates: that of the best one; `None` without any.
#[must_use]
pub fn best<'a>(probe: &Template, templates: impl IntoIterator<Item = &'a Template>) -> Option<f32> {
    templates.into_iter().map(|template| probe.similarity(template)).max_by(f32::total_cmp)
}

/// The people of `list` whose likeness is `threshold` or more, the most alike first, at most `most`.
#[must_use]
pub fn search<'a, P: Copy + Ord>(
    probe: &Template,
    list: impl IntoIterator<Item = (P, &'a Template)>,
    threshold: f32,
    most: usize,
) -> Vec<Match<P>> {
    let mut people: std::collections::BTreeMap<P, f32> = std::collections::BTreeMap::new();
    for (person, template) in list {
        let similarity = probe.similarity(template);
        if similarity >= threshold {
            let known = people.entry(person).or_insert(similarity);
            *known = known.max(similarity);
        }
    }
    let mut found: Vec<Match<P>> =
        people.into_iter().map(|(person, similarity)| Match { person, similarity }).collect();
    found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::template::LENGTH;

    fn template(angle: f32) -> Template {
        let mut values = [0.0; LENGTH];
        (values[0], values[1]) = (angle.to_radians().cos(), angle.to_radians().sin());
        Template::new(&values).unwrap()
    }

    #[test]
    fn the_best_of_several_pictures_of_a_person_counts() {
        let (near, far, other) = (template(10.0), template(80.0), template(50.0));
        let probe = template(0.0);
        assert_eq!(best(&probe, [&far, &near]), Some(probe.similarity(&near)));
        assert_eq!(best(&probe, []), None);
        let list = [("anna", &far), ("anna", &near), ("boris", &other), ("clara", &far)];
        let found = search(&probe, list, 0.5, 10);
        assert_eq!(found.iter().map(|it| it.person).collect::<Vec<_>>(), ["anna", "boris"]);
        assert_eq!(search(&probe, list, 0.5, 1).len(), 1);
        assert!(search(&probe, list, 0.999, 10).is_empty());
    }
}
