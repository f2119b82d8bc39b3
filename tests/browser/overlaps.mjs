// Runs in a page or in an SVG file: finds texts of pictures that overlap each other, or leave the box that they stand in.
export function overlaps() {
  const found = [];
  const inside = (outer, x, y) => x >= outer.left && x <= outer.right && y >= outer.top && y <= outer.bottom;
  const svgs = document.documentElement.localName === "svg"
    ? [document.documentElement]
    : [...document.querySelectorAll("svg")];
  for (const svg of svgs) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) continue;
    const scale = frame.width / svg.viewBox.baseVal.width;
    const about = (text) => JSON.stringify(text.textContent);
    // The line of a text is higher than its letters.
    const letters = (text) => {
      const box = text.getBoundingClientRect();
      const rim = box.height * 0.15;
      return { text, left: box.left, right: box.right, top: box.top + rim, bottom: box.bottom - rim };
    };
    const texts = [...svg.querySelectorAll("text")]
      .filter((text) => text.textContent.trim() !== "" && getComputedStyle(text).visibility !== "hidden")
      .map(letters);
    const boxes = [...svg.querySelectorAll("rect")].map((rect) => rect.getBoundingClientRect());
    boxes.push(frame);
    const slack = 0.75 * scale;
    for (const [at, one] of texts.entries()) {
      for (const other of texts.slice(at + 1)) {
        const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        if (width > slack && height > slack) found.push(`${about(one.text)} overlaps ${about(other.text)}`);
      }
      const x = (one.left + one.right) / 2;
      const y = (one.top + one.bottom) / 2;
      const around = boxes.filter((box) => inside(box, x, y)).sort((a, b) => a.width * a.height - b.width * b.height)[0];
      if (!around) found.push(`${about(one.text)} is outside of the picture`);
      else if (one.left < around.left - slack || one.right > around.right + slack
        || one.top < around.top - slack || one.bottom > around.bottom + slack) {
        found.push(`${about(one.text)} leaves its box`);
      }
    }
    if (texts.length === 0) found.push("a picture has no text");
  }
  return found;
}
