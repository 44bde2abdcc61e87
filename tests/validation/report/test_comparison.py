"""What is compared with what."""

import pandas as pd
import pytest

from physvae.errors import InputError
from validation import evaluate


def test_a_field_table_is_not_taken_for_its_own_estimates():
    field = pd.DataFrame({"site": ["a", "a", "b"], "lai": [1.0, 2.5, 4.0]})
    with pytest.raises(InputError, match="is this the field table itself"):
        evaluate(field, field)
