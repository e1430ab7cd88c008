"""The decorator of the claims of wipf2024."""

from theory.statement import claims_of

claim = claims_of("wipf2024")
