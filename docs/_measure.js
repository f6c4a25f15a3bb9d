// What a reader would call broken on the page that is open: an array of sentences.
(() => {
  const found = new Set();
  const root = document.documentElement;
  const dark = root.dataset.theme === "dark";

  const name = (e) => {
    const classes = [...e.classList].slice(0, 3).map((c) => "." + c).join("");
    const text = [...e.textContent.trim().replace(/\s+/g, " ")].slice(0, 40).join("");
    return e.tagName.toLowerCase() + classes + (text ? ` "${text}"` : "");
  };
  const shown = (e) => {
    const box = e.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };

  // The article keeps to its column. Formulas, code and tables may scroll in a box of their own.
  if (root.scrollWidth > root.clientWidth + 1)
    found.add(`the page is ${root.scrollWidth} pixels wide`);
  const article = document.querySelector("article") || document.body;
  const container = article.closest(".bd-article-container") || article;
  const column = container.getBoundingClientRect();
  const scrolls = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const walk = (e) => {
    if (!shown(e)) return;
    const box = e.getBoundingClientRect();
    if (box.right > column.right + 1 || box.left < column.left - 1) {
      found.add(`leaves the column by ${Math.round(Math.max(box.right - column.right, column.left - box.left))} pixels: ${name(e)}`);
      return; // its children do, too
    }
    const wider = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1;
    const style = getComputedStyle(e);
    if (wider && style.overflowX === "hidden" && style.textOverflow !== "ellipsis")
      found.add(`is cut off: ${name(e)}`);
    if (e.scrollLeft !== 0) found.add(`opens scrolled: ${name(e)}`);
    if (wider && scrolls(e)) {
      const first = e.firstElementChild;
      if (first && shown(first) && first.getBoundingClientRect().left < box.left - 1)
        found.add(`its start cannot be reached: ${name(e)}`);
      if (e.matches("dl, dd, section, p, ul, ol, :has(> table.autosummary)"))
        found.add(`text that must be scrolled: ${name(e)}`);
      return;
    }
    if (!(e instanceof SVGElement) && e.localName !== "math") [...e.children].forEach(walk);
  };
  [...container.children].forEach(walk);

  // A number of a table stays on one line.
  for (const cell of article.querySelectorAll("table:not(.dataframe) td")) {
    if (!/^[\d.,]+ [±\/][\d.,±\/ ]+$/.test(cell.textContent.trim())) continue;
    const range = document.createRange();
    range.selectNodeContents(cell.querySelector("p") || cell);
    if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) {
      found.add(`a number on several lines: ${name(cell)}`);
      break;
    }
  }

  // Text has the contrast that WCAG asks for, and nothing shines in the dark.
  const parse = (color) => {
    const numbers = (color.match(/[\d.]+/g) || []).map(Number);
    if (color.startsWith("color(")) numbers.splice(0, 3, ...numbers.slice(0, 3).map((v) => v * 255));
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const known = new Map();
  const background = (e) => {
    if (!e) return dark ? [0, 0, 0] : [255, 255, 255];
    if (!known.has(e)) known.set(e, over(parse(getComputedStyle(e).backgroundColor), background(e.parentElement)));
    return known.get(e);
  };
  const contrasts = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || e.closest("script, style, svg, noscript, [disabled]")) continue;
    const style = getComputedStyle(e);
    const behind = background(e);
    const colors = style.color + behind;
    if (contrasts.has(colors) || !shown(e)) continue;
    contrasts.add(colors);
    const [a, b] = [light(over(parse(style.color), behind)), light(behind)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) found.add(`contrast of ${contrast.toFixed(1)}: ${name(e)}`);
  }
  if (dark)
    for (const e of document.body.querySelectorAll(":not(img)"))
      if (e.offsetWidth * e.offsetHeight > 2000 && light(background(e)) > 0.5 && shown(e)) {
        found.add(`a light box in the dark: ${name(e)}`);
        break;
      }

  // Figures can be read by those who cannot see them, and by those with a small screen.
  for (const image of article.querySelectorAll("img"))
    if (!(image.alt || "").trim()) found.add(`without alternative text: ${image.getAttribute("src")}`);
    else if (image.complete && !image.naturalWidth) found.add(`does not load: ${image.getAttribute("src")}`);
  return [...found];
})()
