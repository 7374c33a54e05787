// What a page looks like from inside; the argument is the least contrast that text may have.
(leastContrast) => {
  const named = (element) => {
    const own = element.classList.length ? "." + [...element.classList].join(".") : "";
    const words = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `${element.tagName.toLowerCase()}${element.id ? "#" + element.id : ""}${own} "${words}"`;
  };
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  };
  const all = [...document.body.querySelectorAll("*")].filter(shown);
  const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  const inScroller = (element) => {
    for (let above = element; above; above = above.parentElement) if (scrolls(above)) return true;
    return false;
  };

  const tooWide = (element) => {
    if (element instanceof SVGElement) {
      // A drawing is cut at its edge, and says nothing of it.
      const edge = element.ownerSVGElement?.getBoundingClientRect();
      const box = element.getBoundingClientRect();
      return element.tagName === "text" && edge && (box.right > edge.right + 2 || box.left < edge.left - 2);
    }
    const style = getComputedStyle(element);
    return style.display !== "inline" && element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1;
  };
  const overflowing = all.filter((element) => !inScroller(element) && tooWide(element));

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let above = element; above; above = above.parentElement) {
      const layer = rgba(getComputedStyle(above).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
    return layers.reduceRight((below, layer) => over(layer, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const part = (value) => ((value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const below = background(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), below);
    const [more, less] = [light(ink), light(below)].sort((a, b) => b - a);
    return (more + 0.05) / (less + 0.05);
  };
  const speaks = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.nodeValue.trim());
  const faint = all
    .filter((element) => speaks(element) && !["title", "style", "script", "desc"].includes(element.tagName.toLowerCase()))
    .map((element) => [contrast(element), element])
    .filter(([ratio]) => ratio < leastContrast)
    .map(([ratio, element]) => `${named(element)} has contrast ${ratio.toFixed(1)}`);

  const elsewhere = (address) => address && !/^(data:|#|about:)/.test(address);
  const loading = "img[src],script[src],iframe[src],embed[src],source[src],video[src],audio[src],link[href],image[href],use[href],object[data]";
  const assets = [...document.querySelectorAll(loading)]
    .map((element) => element.getAttribute("src") || element.getAttribute("href") || element.getAttribute("data"))
    .filter(elsewhere);
  assets.push(...[...document.querySelectorAll("style")].flatMap((style) => style.textContent.match(/@import[^;]*|url\(["']?(?!data:|#)[^)]*\)/g) || []));

  const links = [...document.querySelectorAll("a[href]")].map((link) => link.getAttribute("href"));
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const dead = links.filter((link) => link.startsWith("#") && link.length > 1 && !ids.includes(decodeURIComponent(link.slice(1))));
  const wordless = all.filter((element) => {
    const tag = element.tagName.toLowerCase();
    if (tag === "img") return !element.hasAttribute("alt");
    const hidden = element.closest("[aria-hidden=true]");
    return tag === "svg" && !hidden && !element.getAttribute("aria-label") && !element.getAttribute("aria-labelledby") && !element.querySelector("title");
  });
  const faults = [
    ...dead.map((link) => `a link leads nowhere: ${link}`),
    ...new Set(ids.filter((id, place) => ids.indexOf(id) !== place).map((id) => `an id is there twice: ${id}`)),
    ...wordless.map((element) => `a picture without words: ${named(element)}`),
    ...(document.documentElement.lang ? [] : ["the page does not say its language"]),
    ...(document.doctype ? [] : ["the page has no doctype"]),
  ];

  return {
    text: document.body.innerText,
    title: document.title,
    overflows: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    overflowing: overflowing.map(named),
    faint,
    assets,
    headings: [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => [Number(h.tagName[1]), h.innerText.trim()]),
    links,
    faults,
  };
}
