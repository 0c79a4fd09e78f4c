// Elements of the page, and the colours of its style sheet.

const style = getComputedStyle(document.documentElement);

/** A new element with a class and text. Text is set as text: whatever a function is called, it never becomes markup. */
export function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/** Set a text that has changed: what stays is not touched, so that a selection of it stays as well. */
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** The name of a function: its module may be cut short where room is scarce, its own name is the last to go. */
export function functionName(name) {
  const dot = name.lastIndexOf(".") + 1;
  const made = element("span", "name");
  made.append(element("bdi", "module", name.slice(0, dot)), element("bdi", "own", name.slice(dot)));
  made.title = name;
  return made;
}

/** The colour that a CSS property such as `--hit` has in the scheme that is on. */
export const colour = (property) => style.getPropertyValue(property).trim();

/** The type face of charts. */
export const face = () => `11px ${style.fontFamily}`;
