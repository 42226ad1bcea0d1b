// Light or dark, as the notebook around the widget is: its theme need not be that of the system.

// Sets the color-scheme of `host` by the color of text in `around`. Returns a function that ends it.
export function followScheme(host, around) {
  const update = () => (host.style.colorScheme = isLight(getComputedStyle(around).color) ? "dark" : "light");
  const theme = new MutationObserver(update);
  for (const element of [document.documentElement, document.body]) theme.observe(element, { attributes: true });
  const place = new ResizeObserver(update); // an element has its colors once it is in the document
  place.observe(host);
  update();
  return () => (theme.disconnect(), place.disconnect());
}

// Whether a color such as "rgb(20, 20, 20)" is light. Others, such as "oklch(...)", are in shares of 1.
function isLight(color) {
  const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).map(Number);
  const most = color.startsWith("rgb") ? 255 : 1;
  return 0.3 * red + 0.6 * green + 0.1 * blue > most / 2;
}
