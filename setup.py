"""Installs one file beside the packages; pyproject.toml holds everything else."""

from setuptools import Distribution, setup  # isort: skip  (setuptools brings distutils)
from distutils.command.install_data import install_data  # isort: skip


class EditableDistribution(Distribution):
    """Installs data files in editable mode too."""

    def has_data(self) -> bool:
        """Answer setuptools, which asks by this name in editable mode only."""
        return self.has_data_files()


class InstallBesidePackages(install_data):
    """Installs data files into site-packages, where Python reads `.pth` files when it starts."""

    def finalize_options(self) -> None:
        """Choose the folder of the packages instead of the root of the environment."""
        super().finalize_options()
        self.install_dir = self.get_finalized_command("install").install_lib


setup(
    distclass=EditableDistribution,
    cmdclass={"install_data": InstallBesidePackages},
    data_files=[("", ["trainers/anl_seg_trainers.pth"])],
)
