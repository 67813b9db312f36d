"""Read and render the recipe with rattler-build: `make recipe`. A build would take conda's channels."""

from pathlib import Path

from rattler_build import RenderConfig, Stage0Recipe, VariantConfig


def main() -> None:
    """Raise what rattler-build says of a recipe that it cannot render."""
    recipe = Stage0Recipe.from_file(Path(__file__).with_name("recipe.yaml"))
    for rendered in recipe.render(VariantConfig(), RenderConfig()):
        found = rendered.recipe
        print(f"{found.package.name} {found.package.version} needs {', '.join(map(str, found.requirements.run))}")


if __name__ == "__main__":
    main()
