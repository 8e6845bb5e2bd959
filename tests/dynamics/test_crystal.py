from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_sem4d.dynamics.crystal import (
    angles_between_families,
    entered_orientation,
    family_directions,
    index_facets,
    parsed_direction,
)
from napari_sem4d.model import InputError

FACES = np.array([[0, 0, 1], [1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1], [0, 1, 1], [1, 1, 3]], float)
FACES /= np.linalg.norm(FACES, axis=1)[:, None]


def test_families_have_the_angles_of_the_tables():
    assert angles_between_families((1, 0, 0), (1, 1, 1)) == pytest.approx([54.7356])
    assert angles_between_families((1, 1, 1), (1, 1, 1)) == pytest.approx([0.0, 70.5288])
    assert angles_between_families((1, 1, 0), (1, 1, 1)) == pytest.approx([35.2644, 90.0])
    assert angles_between_families((1, 0, 0), (1, 1, 0)) == pytest.approx([45.0, 90.0])
    assert angles_between_families((1, 0, 0), (1, 1, 3)) == pytest.approx([25.2394, 72.4516])
    assert [len(family_directions(f)) for f in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 3))] == [6, 12, 8, 24]


@pytest.mark.parametrize("seed", range(5))
def test_the_orientation_of_a_crystal_is_found_from_its_facets(seed):
    random = np.random.default_rng(seed)
    tilt, turn = (
        Rotation.from_rotvec(random.normal(0.0, 0.12, 3)),
        Rotation.from_rotvec([0.0, 0.0, random.uniform(-0.7, 0.7)]),
    )
    true = tilt * turn
    seen = Rotation.from_rotvec(np.radians(random.normal(0.0, 0.5, (7, 3)))).apply(true.apply(FACES))
    found = index_facets(seen, np.full(7, 0.5))
    turned = Rotation.from_matrix(found.orientation)
    apart = min(np.degrees((true.inv() * turned * same).magnitude()) for same in Rotation.create_group("O"))
    assert apart < 1.0
    families = [tuple(sorted(map(abs, match.face))) for match in found.matches]
    assert families == [(0, 0, 1), *[(1, 1, 1)] * 4, (0, 1, 1), (1, 1, 3)]
    assert found.misfit_deg < 1.2
    assert found.other_misfit_deg > 3.0 * found.misfit_deg


def test_a_facet_that_is_no_face_is_told_by_its_misfit():
    odd = np.concatenate([FACES[:5], [[np.sin(0.3), 0.0, np.cos(0.3)]]])
    found = index_facets(odd, np.full(6, 0.3), families=[(1, 0, 0), (1, 1, 1)])
    assert found.matches[5].misfit_deg > 15.0
    assert max(match.misfit_deg for match in found.matches[:5]) < 1e-3


def test_an_entered_orientation_is_kept():
    given = entered_orientation((1, 1, 1), (1, -1, 0))
    np.testing.assert_allclose(given @ np.ones(3) / np.sqrt(3.0), [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(given @ [1.0, -1.0, 0.0] / np.sqrt(2.0), [1.0, 0.0, 0.0], atol=1e-12)
    found = index_facets([[0.0, 0.0, 1.0]], [0.2], orientation=given)
    assert found.matches[0].face == (1, 1, 1)
    assert found.matches[0].text == "(1 1 1)"
    assert not found.fitted


def test_directions_are_read_as_they_are_written():
    assert parsed_direction("001") == (0, 0, 1)
    assert parsed_direction("[1-10]") == (1, -1, 0)
    assert parsed_direction("1 -1 10") == (1, -1, 10)
    for text in ("01", "000", "abc"):
        with pytest.raises(InputError, match="three indices"):
            parsed_direction(text)
    with pytest.raises(InputError, match="another one"):
        entered_orientation((0, 0, 1), (0, 0, 2))
    with pytest.raises(InputError, match="two facets"):
        index_facets([[0.0, 0.0, 1.0]], [0.2])
