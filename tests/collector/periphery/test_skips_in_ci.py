"""In continuous integration nothing is skipped in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = {
    "test_a.py": "import pytest\n\ndef test_x():\n    pytest.skip('no server')\n",
    "test_b.py": "import pytest\n\n@pytest.fixture\ndef f():\n    pytest.skip('no server')\n\ndef test_x(f):\n    pass\n",
    "test_c.py": "import pytest\npytest.skip('no server', allow_module_level=True)\n",
    "test_d.py": "import pytest\n\n@pytest.mark.skipif(True, reason='no server')\ndef test_x():\n    pass\n",
    "test_e.py": "import pytest\n\ndef test_x():\n    pytest.skip('platform: no netem in this kernel')\n",
    "test_f.py": "import pytest\n\n@pytest.mark.xfail\ndef test_x():\n    assert False\n",
}


@pytest.mark.parametrize("strict", [True, False])
def test_any_skip_fails_in_ci_except_for_the_platform_and_none_does_elsewhere(tmp_path: Path, strict: bool) -> None:
    shutil.copy(Path(__file__).parents[2] / "conftest.py", tmp_path)
    for name, text in _TESTS.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "SITEKEEPER_CI": "1" if strict else ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    counts = done.stdout.splitlines()[-1]
    if strict:
        assert done.returncode != 0 and "1 failed" in counts and "3 errors" in counts, done.stdout
    else:
        assert done.returncode == 0 and "5 skipped" in counts, done.stdout
    assert "1 xfailed" in counts
